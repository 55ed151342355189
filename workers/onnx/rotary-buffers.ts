import type { Tensor } from 'onnxruntime-web'
import { createStorage } from './fixed-cache.js'
import { chooseTable, type RotaryTables } from './rotary-tables.js'
import type { OnnxRuntime } from './session.js'
import { countElementBytes } from './state-schema.js'

/** The tables of rotary factors in GPU buffers that all runs share. */
export interface RotaryBuffers {
  /** The table inputs of every run: input name → tensor. */
  readonly feeds: Readonly<Record<string, Tensor>>
  /** Writes the tables for a total length into the buffers, unless the buffers have them. */
  select(length: number): void
  destroy(): void
}

/** @param rotarySwitch the largest length for which the first tables are used */
export function createRotaryBuffers(
  { Tensor }: OnnxRuntime,
  device: GPUDevice,
  rotaryTables: readonly RotaryTables[],
  rotarySwitch: number,
): RotaryBuffers {
  const tables = rotaryTables.map((table) => {
    const sizeBytes = Math.max(table.short.byteLength, table.long.byteLength)
    const buffer = createStorage(device, sizeBytes)
    const dims = [sizeBytes / (table.width * countElementBytes(table.type)), table.width]
    return { table, buffer, tensor: Tensor.fromGpuBuffer(buffer, { dataType: table.type, dims }) }
  })
  let isLong: boolean | undefined
  return {
    feeds: Object.fromEntries(tables.map(({ table, tensor }) => [table.input, tensor])),
    select(length) {
      if (isLong === length > rotarySwitch) return
      isLong = length > rotarySwitch
      for (const { table, buffer } of tables)
        device.queue.writeBuffer(buffer, 0, chooseTable(table, rotarySwitch, length))
    },
    destroy() {
      for (const { buffer } of tables) buffer.destroy()
    },
  }
}
