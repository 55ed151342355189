import { replayDispatches, type Dispatch } from './dispatch-recorder.js'
import { createStorage, type FixedCache } from './fixed-cache.js'
import type { FusedBatch } from './fuse-dispatches.js'
import type { GpuModel } from './gpu-model.js'
import { createOwnEncoder } from './own-encoder.js'
import { createReadbackPool } from './readback-pool.js'
import { countElementBytes } from './state-schema.js'
import { sampledSize, tokenIdSize, type SampledToken, type StepSampling } from './step-sampling.js'
import type { StepTensors } from './step-tensors.js'

/** The decode step of one conversation in a batch. */
export interface BatchStep {
  readonly cache: Pick<FixedCache, 'buffers'>
  /** `tokenId` is the token to compute. `logits` get the result. */
  readonly tensors: Pick<StepTensors, 'tokenId' | 'logits'>
  /** The total length, with the token to compute. */
  readonly length: number
  /** Samples the next token; undefined if the conversation does that itself. */
  readonly sampling: StepSampling | undefined
  /** The position of the next token in the answer. */
  readonly position: number
}

/**
 * Decode steps of several conversations in one submit. ONNX Runtime's dispatches compute all of them. Attention is one dispatch
 * for each, with the KV cache of the conversation, so that conversations join and leave without a copy.
 */
export interface GpuBatch {
  /** The largest number of conversations in one submit. */
  readonly maxRows: number
  /** Submits one step of each conversation. @returns the sampled token of each; undefined for those without `sampling` */
  submit(steps: readonly BatchStep[]): readonly (Promise<SampledToken> | undefined)[]
  destroy(): void
}

/** A recorded step of `rows` conversations. */
export interface RecordedBatch {
  readonly rows: number
  readonly fused: FusedBatch
}

/** A recorded step with the caches of its conversations. */
interface BoundStep {
  readonly caches: readonly BatchStep['cache'][]
  readonly fused: FusedBatch
  readonly dispatches: readonly Dispatch[]
}

/** The most bound steps that are kept. */
const maxBound = 4

/** The buffers of the steps of all sizes. */
export type BatchBuffers = ReturnType<typeof createBatchBuffers>

export function createBatchBuffers(
  { device, vocabulary, logitsType }: Pick<GpuModel, 'device' | 'vocabulary' | 'logitsType'>,
  maxRows: number,
) {
  const logitsSize = vocabulary * countElementBytes(logitsType)
  const storages = {
    tokenIds: createStorage(device, maxRows * tokenIdSize),
    positions: createStorage(device, maxRows * tokenIdSize),
    lastIndex: createStorage(device, maxRows * 4),
    total: createStorage(device, 4),
    logits: createStorage(device, maxRows * logitsSize),
  }
  return {
    ...storages,
    logitsSize,
    destroy() {
      for (const buffer of Object.values(storages)) buffer.destroy()
    },
  }
}

/** Writes the inputs of a step that depend on the lengths of the conversations. Rows without a conversation compute nothing useful. */
export function writeLengths(
  { device }: Pick<GpuModel, 'device'>,
  buffers: BatchBuffers,
  lengths: readonly number[],
): void {
  const last = lengths.map((length) => length - 1)
  device.queue.writeBuffer(buffers.lastIndex, 0, Int32Array.from(last))
  device.queue.writeBuffer(buffers.positions, 0, BigInt64Array.from(last, BigInt))
  device.queue.writeBuffer(buffers.total, 0, Int32Array.of(Math.max(...lengths)))
}

export function writeGroups({ writeLengths: write }: FusedBatch, lengths: readonly number[]): void {
  write(lengths.map((length) => length - 1))
}

/** Creates the batch. @param recordings from the smallest to the largest */
export function createBatch(
  model: Pick<GpuModel, 'device'>,
  buffers: BatchBuffers,
  recordings: readonly RecordedBatch[],
): GpuBatch {
  const { device } = model
  const maxRows = recordings.at(-1)!.rows
  const readbacks = createReadbackPool(device, maxRows * sampledSize)
  /** The newest steps with other caches. A slow reader makes two steps alternate. */
  const bound: BoundStep[] = []

  function bindStep(steps: readonly BatchStep[]): BoundStep {
    const caches = steps.map(({ cache }) => cache)
    const known = bound.find(
      (each) =>
        each.caches.length === caches.length && each.caches.every((cache, row) => cache === caches[row]),
    )
    if (known) return known
    const { fused } = recordings.find(({ rows }) => rows >= caches.length)!
    const step = { caches, fused, dispatches: fused.bind(caches.map((cache) => cache.buffers)) }
    bound.unshift(step)
    bound.length = Math.min(bound.length, maxBound)
    return step
  }

  return {
    maxRows,
    submit(steps) {
      const lengths = steps.map(({ length }) => length)
      const { fused, dispatches } = bindStep(steps)
      writeLengths(model, buffers, lengths)
      writeGroups(fused, lengths)
      const { tokenIds, logits, logitsSize } = buffers
      const encoder = createOwnEncoder(device)
      for (const [row, { tensors }] of steps.entries())
        encoder.copyBufferToBuffer(tensors.tokenId, 0, tokenIds, row * tokenIdSize, tokenIdSize)
      const pass = encoder.beginComputePass()
      replayDispatches(pass, dispatches)
      pass.end()
      for (const [row, { tensors }] of steps.entries())
        encoder.copyBufferToBuffer(logits, row * logitsSize, tensors.logits, 0, logitsSize)
      const samplingPass = encoder.beginComputePass()
      for (const { sampling, position } of steps) sampling?.encode(samplingPass, position)
      samplingPass.end()
      const sizeBytes = steps.reduce((sum, { sampling }) => sum + (sampling?.resultSize ?? 0), 0)
      if (sizeBytes === 0) {
        device.queue.submit([encoder.finish()])
        return steps.map(() => undefined)
      }
      const [readback, read] = readbacks.take(sizeBytes)
      let offset = 0
      const readers = steps.map(({ sampling }) => {
        const readResult = sampling?.copyResult(encoder, readback, offset)
        offset += sampling?.resultSize ?? 0
        return readResult
      })
      device.queue.submit([encoder.finish()])
      const words = read()
      return readers.map((readResult) => readResult && words.then(readResult))
    },
    destroy() {
      for (const { fused } of recordings) fused.destroy()
      buffers.destroy()
      readbacks.destroy()
    },
  }
}
