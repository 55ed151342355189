import type { Tensor } from 'onnxruntime-web'
import { createStorage, writeBytes } from './fixed-cache.js'
import type { OnnxRuntime } from './session.js'
import { countFixedStateBytes, type FixedState } from './state-schema.js'
import { createOwnEncoder } from './own-encoder.js'

/** One of the two sets of buffers. */
export type StateSet = 0 | 1

/**
 * The states of fixed size (of convolutions and recurrent layers) in two sets of GPU buffers. A run reads one set and writes
 * the other, since a kernel may write a state before it has read all of it. So a run can be repeated until `advance` is
 * called.
 */
export interface FixedStates {
  /** The set that the next run reads. */
  readonly current: StateSet
  /** The state inputs of the next run: input name → tensor. */
  readonly feeds: Readonly<Record<string, Tensor>>
  /** The state outputs of the next run: output name → tensor. */
  readonly fetches: Readonly<Record<string, Tensor>>
  /** Makes the outputs of the last run the inputs of the next run. */
  advance(): void
  /** Sets the inputs of the next run to zero, as before the first token. */
  reset(): void
  /** Copies the inputs of the next run. */
  save(): SavedStates
  /** Replaces the inputs of the next run. */
  restore(saved: SavedStates): void
  /** Writes the inputs of the next run. @param contents the content of each state */
  write(contents: readonly Uint8Array<ArrayBuffer>[]): void
  /** The buffers of the next run's inputs. */
  readonly buffers: readonly GPUBuffer[]
  destroy(): void
}

/** A copy of all states. */
export interface SavedStates {
  readonly buffers: readonly GPUBuffer[]
  destroy(): void
}

/** Creates states that are zero. */
export function createFixedStates(
  { Tensor }: OnnxRuntime,
  device: GPUDevice,
  states: readonly FixedState[],
): FixedStates {
  const createBuffers = () => states.map((state) => createStorage(device, countFixedStateBytes([state])))
  const sets = [createBuffers(), createBuffers()] as const
  const tensors = sets.map((buffers) =>
    states.map(({ type, dims }, index) => Tensor.fromGpuBuffer(buffers[index]!, { dataType: type, dims })),
  )
  let current: StateSet = 0

  const name = (kind: 'past' | 'present', set: StateSet) =>
    Object.fromEntries(states.map((state, index) => [state[kind], tensors[set]![index]!]))
  const pasts = [name('past', 0), name('past', 1)] as const
  const presents = [name('present', 0), name('present', 1)] as const

  function copy(from: readonly GPUBuffer[], to: readonly GPUBuffer[]): void {
    if (states.length === 0) return
    const encoder = createOwnEncoder(device)
    for (const [index, buffer] of from.entries())
      encoder.copyBufferToBuffer(buffer, 0, to[index]!, 0, buffer.size)
    device.queue.submit([encoder.finish()])
  }

  return {
    get current() {
      return current
    },
    get feeds() {
      return pasts[current]
    },
    get fetches() {
      return presents[other(current)]
    },
    advance() {
      current = other(current)
    },
    reset() {
      if (states.length === 0) return
      const encoder = createOwnEncoder(device)
      for (const buffer of sets[current]) encoder.clearBuffer(buffer)
      device.queue.submit([encoder.finish()])
    },
    save() {
      const buffers = createBuffers()
      copy(sets[current], buffers)
      return { buffers, destroy: () => destroyAll(buffers) }
    },
    restore(saved) {
      copy(saved.buffers, sets[current])
    },
    write(contents) {
      for (const [index, content] of contents.entries()) writeBytes(device, sets[current][index]!, 0, content)
    },
    get buffers() {
      return sets[current]
    },
    destroy() {
      destroyAll(sets.flat())
    },
  }
}

function other(set: StateSet): StateSet {
  return set === 0 ? 1 : 0
}

function destroyAll(buffers: readonly GPUBuffer[]): void {
  for (const buffer of buffers) buffer.destroy()
}
