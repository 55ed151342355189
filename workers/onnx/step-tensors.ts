import type { Tensor } from 'onnxruntime-web'
import { createStorage } from './fixed-cache.js'
import { decodeFloat16 } from './float16.js'
import { graphInputs, logitsOutput } from './graph-names.js'
import { createRotaryBuffers } from './rotary-buffers.js'
import type { RotaryTables } from './rotary-tables.js'
import type { OnnxRuntime } from './session.js'
import { countElementBytes, createPositions, type StateSchema } from './state-schema.js'
import { readBuffer } from './step-readback.js'

/** What a rewritten graph reads and writes, other than its states. */
export interface StepGraph {
  readonly hasPositions: boolean
  readonly positionRows: StateSchema['positionRows']
  readonly vocabulary: number
  readonly logitsType: 'float32' | 'float16'
  readonly rotaryTables: readonly RotaryTables[]
  /** As in `PrefillRules`. */
  readonly rotarySwitch: number
}

/**
 * The inputs and the output of a graph's runs, other than its states. Those of a decode step stay in the same GPU buffers, so
 * that a recorded step can be replayed.
 */
export interface StepTensors {
  /** The logits of the newest run, [vocabulary]. */
  readonly logits: GPUBuffer
  /** The id of the token that a decode step computes: 8 bytes, an int64. */
  readonly tokenId: GPUBuffer
  /** The inputs of a decode step. */
  readonly inputs: Readonly<Record<string, Tensor>>
  /** The output of every run. */
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Creates the inputs of a run that computes `newIds` after `cachedTokens` tokens. */
  createInputs(newIds: readonly number[], cachedTokens: number): Record<string, Tensor>
  /** Writes the inputs of a decode step, other than the token. @param length the total length, with the token */
  writeLength(length: number): void
  writeTokenId(id: number): void
  readLogits(): Promise<Float32Array>
  destroy(): void
}

export function createStepTensors(runtime: OnnxRuntime, device: GPUDevice, graph: StepGraph): StepTensors {
  const { Tensor } = runtime
  const { hasPositions, positionRows, vocabulary, logitsType } = graph
  const tokenId = createStorage(device, 8)
  const lastIndex = createStorage(device, 4)
  const total = createStorage(device, 4)
  const logits = createStorage(device, vocabulary * countElementBytes(logitsType))
  const [firstPositions, positionDims] = createPositions(positionRows, 0, 1)
  const positions = createStorage(device, firstPositions.byteLength)
  const rotary = createRotaryBuffers(runtime, device, graph.rotaryTables, graph.rotarySwitch)

  function createInputs(newIds: readonly number[], cachedTokens: number): Record<string, Tensor> {
    const length = cachedTokens + newIds.length
    rotary.select(length)
    return {
      ...(hasPositions && {
        [graphInputs.positionIds]: new Tensor(
          'int64',
          ...createPositions(positionRows, cachedTokens, newIds.length),
        ),
      }),
      [graphInputs.tokenIds]: new Tensor('int64', BigInt64Array.from(newIds, BigInt), [1, newIds.length]),
      [graphInputs.lastIndex]: new Tensor('int32', Int32Array.of(length - 1), [1, 1]),
      [graphInputs.totalLength]: new Tensor('int32', Int32Array.of(length), [1]),
      ...rotary.feeds,
    }
  }

  return {
    logits,
    tokenId,
    inputs: {
      ...(hasPositions && {
        [graphInputs.positionIds]: Tensor.fromGpuBuffer(positions, { dataType: 'int64', dims: positionDims }),
      }),
      [graphInputs.tokenIds]: Tensor.fromGpuBuffer(tokenId, { dataType: 'int64', dims: [1, 1] }),
      [graphInputs.lastIndex]: Tensor.fromGpuBuffer(lastIndex, { dataType: 'int32', dims: [1, 1] }),
      [graphInputs.totalLength]: Tensor.fromGpuBuffer(total, { dataType: 'int32', dims: [1] }),
      ...rotary.feeds,
    },
    outputs: {
      [logitsOutput]: Tensor.fromGpuBuffer(logits, { dataType: logitsType, dims: [1, 1, vocabulary] }),
    },
    createInputs,
    writeLength(length) {
      rotary.select(length)
      device.queue.writeBuffer(positions, 0, createPositions(positionRows, length - 1, 1)[0])
      device.queue.writeBuffer(lastIndex, 0, Int32Array.of(length - 1))
      device.queue.writeBuffer(total, 0, Int32Array.of(length))
    },
    writeTokenId(id) {
      device.queue.writeBuffer(tokenId, 0, BigInt64Array.of(BigInt(id)))
    },
    readLogits: () => readLogits(device, logits, logitsType, vocabulary),
    destroy() {
      rotary.destroy()
      for (const buffer of [tokenId, lastIndex, total, positions, logits]) buffer.destroy()
    },
  }
}

/** Reads back `count` logits. */
export async function readLogits(
  device: GPUDevice,
  logits: GPUBuffer,
  logitsType: StepGraph['logitsType'],
  count: number,
): Promise<Float32Array> {
  const bytes = await readBuffer(device, logits, count * countElementBytes(logitsType))
  return logitsType === 'float16'
    ? Float32Array.from(new Uint16Array(bytes.buffer), decodeFloat16)
    : new Float32Array(bytes.buffer)
}
