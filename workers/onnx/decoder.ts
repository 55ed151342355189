import { RivuletError } from '../../lib/contract/errors.js'
import type { Execution } from '../../lib/contract/worker-api.js'
import type { Sampling } from './sampler.js'

/** A model with the KV cache of one conversation, on whichever device. */
export interface Decoder {
  /** How the model is run, for `ModelInfo`. */
  readonly execution: DecoderExecution
  /** Resolves with the browser's words when the device is lost before `release`; never on WASM. */
  readonly lost: Promise<string>
  /** How many tokens to prefill at a time: a cancel waits for as many, and memory is bounded by them. */
  readonly prefillChunkTokens: number
  /**
   * Makes the cache hold the longest beginning of `ids` that this conversation or an earlier one has computed.
   * @returns its length
   */
  recall(ids: readonly number[]): number
  /** Computes `ids` behind the cache. @param ids at least one token */
  prefill(ids: readonly number[]): Promise<void>
  /**
   * Begins the answer to a prompt, or goes on with what it has of it; both may be computed before or after.
   * @throws RivuletError `invalid-option` where `logitBias` names a token that the vocabulary has not
   */
  startAnswer(
    sampling: Sampling,
    seed: number,
    promptIds: readonly number[],
    saidIds: readonly number[],
  ): void
  /**
   * Chooses the token at `position` of the answer, computing the one before it first.
   * @param continues whether `next` is what will be called next: then its step may begin before this one's token is here
   * @throws RivuletError `generation-failed` when the model gave no number to choose by
   */
  next(position: number, continues: boolean): Promise<number>
  /** @returns what `next` chose by, [vocabulary]; not where that was told to continue */
  readLogits(): Promise<Float32Array>
  /** Frees the cache and the session. */
  release(): Promise<void>
}

/**
 * How a model is run, fastest first.
 * - `replayed`: fixed KV cache on the GPU, a decode step is its recorded dispatches in one submit, and the step after it
 *   is on its way while its token is read back.
 * - `fixed-cache`: fixed KV cache on the GPU, a decode step is a run of ONNX Runtime.
 * - `growing-cache`: the KV cache is a new tensor at each step, as the graph was exported.
 */
type DecoderExecution = Extract<Execution, 'replayed' | 'fixed-cache' | 'growing-cache'>

/** What `next` throws when there is no number to choose by. */
export function notANumber(): RivuletError {
  return new RivuletError(
    'generation-failed',
    'The model computed logits that are no numbers. Another dtype or device may compute them right.',
  )
}
