import { findCaptureDifference, type CapturedStep, type Dispatch } from './dispatch-recorder.js'
import { copyCache, type FixedCache } from './fixed-cache.js'
import type { FusedStep } from './fuse-dispatches.js'
import type { ReferenceStep } from './reference-steps.js'
import { countCacheBytes, type CacheInput } from './state-schema.js'
import {
  WrongFusionError,
  WrongStepError,
  measureDifference,
  readStep,
  stepTolerances,
  type StepBuffers,
} from './step-check.js'

/** The most memory that the KV cache may need in a check, in bytes. */
const maxCacheBytes = 2 ** 30

/** The length at which a step is captured whose replay is compared at other lengths. */
const shortLength = 2

/** A decode step that was captured, and the same step with fused attention; undefined if no attention can be fused. */
export interface DecodeStep {
  readonly captured: CapturedStep
  readonly fused: FusedStep | undefined
}

/** What the check needs of a decoder with a fixed KV cache. */
export interface CheckedDecoder {
  readonly device: GPUDevice
  readonly caches: readonly CacheInput[]
  readonly logits: NonNullable<StepBuffers['logits']>
  readonly cache: FixedCache
  /** Replaces the cache by one with this capacity. A captured step is bound to the cache that it was captured with. */
  resize(capacity: number): void
  /** True if decode steps are replayed. */
  readonly canReplay: boolean
  /** Sets the states of fixed size to zero. */
  resetStates(): void
  /** The captured step of the current cache, if there is one. */
  readonly recording: DecodeStep | undefined
  /** Captures a decode step at this length. @returns undefined if it cannot be replayed */
  capture(tokenId: number, length: number): Promise<DecodeStep | undefined>
  /** Computes a decode step by these dispatches. */
  replay(dispatches: readonly Dispatch[], tokenId: number, length: number): void
  /** Computes tokens without replay. */
  run(tokenIds: readonly number[], cachedTokens: number): Promise<unknown>
}

/**
 * Compares the steps of a decoder with those of the exported graph. If steps are replayed, also compares two captures at
 * different lengths: nothing that the host computes may depend on the length.
 * @throws WrongStepError if a step differs, or if replayed steps cannot be compared
 */
export async function checkSteps(
  decoder: CheckedDecoder,
  references: readonly ReferenceStep[],
): Promise<void> {
  const { device, caches, logits, canReplay } = decoder
  const initialCapacity = decoder.cache.capacity
  let step = canReplay ? (decoder.recording ?? (await capture(decoder, shortLength))) : undefined
  if (step) {
    const other = await capture(decoder, initialCapacity)
    const difference = findCaptureDifference(step.captured, other.captured)
    if (difference) throw new WrongStepError(`A decode step depends on its length: ${difference}.`)
  }
  for (const { probe, content, expected } of references) {
    const { tokenIds, cachedTokens } = probe
    const [tokenId = 0, ...others] = tokenIds
    const length = cachedTokens + tokenIds.length
    if (countCacheBytes(caches, length) > maxCacheBytes) {
      // Without replay, ONNX Runtime runs this step as any other.
      if (!canReplay) continue
      throw new WrongStepError(`Replayed steps at ${length} tokens need too much memory to be checked.`)
    }
    if (length > decoder.cache.capacity) {
      decoder.resize(length)
      step = canReplay ? await capture(decoder, shortLength) : undefined
    }
    const artificial = { buffers: caches.map(content.find), capacity: cachedTokens }
    // A decoder chooses by length whether it fuses attention. Both ways are checked at each length.
    const ways =
      step && others.length === 0
        ? [step.captured.replay.dispatches, ...(step.fused ? [step.fused.dispatches] : [])]
        : [undefined]
    for (const dispatches of ways) {
      // Otherwise, a step that writes nothing could pass with the result of an earlier step.
      clearBuffers(device, [...decoder.cache.buffers, logits.buffer])
      copyCache(device, caches, artificial, decoder.cache, cachedTokens)
      decoder.resetStates()
      if (dispatches) decoder.replay(dispatches, tokenId, length)
      else await decoder.run(tokenIds, cachedTokens)
      const { capacity, buffers } = decoder.cache
      const findCache = (input: CacheInput) => buffers[caches.indexOf(input)]
      const actual = await readStep(device, caches, length - 1, { capacity, findCache, logits })
      const difference = measureDifference(actual, expected)
      if (!(difference < stepTolerances[logits.type]))
        throw new (dispatches && dispatches === step?.fused?.dispatches ? WrongFusionError : WrongStepError)(
          `At ${length} tokens, the logits or the KV cache differ from the exported graph's (by ${difference.toPrecision(2)}).`,
        )
    }
  }
  if (decoder.cache.capacity !== initialCapacity) decoder.resize(initialCapacity)
}

async function capture(decoder: CheckedDecoder, length: number): Promise<DecodeStep> {
  const step = await decoder.capture(0, length)
  if (step) return step
  throw new WrongStepError('A captured step cannot be replayed.')
}

/** Fills buffers with zeros, so that a step that writes nothing cannot pass with the result of an earlier step. */
export function clearBuffers(device: GPUDevice, buffers: readonly GPUBuffer[]): void {
  const encoder = device.createCommandEncoder()
  for (const buffer of buffers) encoder.clearBuffer(buffer)
  device.queue.submit([encoder.finish()])
}
