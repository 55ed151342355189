import { RivuletError } from '../../lib/contract/errors.js'
import type { Execution } from '../../lib/contract/worker-api.js'
import type { PrefillRules } from './prefill-rules.js'
import type { Sampling } from './sampler.js'

/** A loaded model with the KV cache of one conversation, on any device. */
export interface Decoder {
  /** How decode steps run, for `ModelInfo`. */
  readonly execution: DecoderExecution
  /** Resolves with the browser's message if the device is lost before `release`. Never resolves on WASM. */
  readonly lost: Promise<string>
  /**
   * How many tokens to prefill in one call, where `prefillRules` do not need more. It limits memory, and a cancel takes
   * effect after one call.
   */
  readonly prefillChunkTokens: number
  readonly prefillRules: PrefillRules
  /**
   * Restores the longest prefix of `ids`, which are marked by `markTokens`, that the current or an earlier conversation has
   * computed. With states of fixed size, the prefix must end where the states were kept: near the end of a prompt, or at the
   * end of an answer.
   * @param ids the prompt, without its last token, whose logits are needed
   * @returns the length of the prefix, which is now in the cache
   */
  recall(ids: readonly number[]): number
  /** Computes `ids` after the tokens in the cache. @param ids at least one token */
  prefill(ids: readonly number[]): Promise<void>
  /**
   * Starts the sampling of an answer, or resumes it. May be called before or after the prefill.
   * @param promptIds the tokens of the prompt, for the repetition penalty
   * @param answerIds the tokens of the answer that were generated before
   * @throws RivuletError `invalid-option` if `logitBias` names a token outside the vocabulary
   */
  startAnswer(
    sampling: Sampling,
    seed: number,
    promptIds: readonly number[],
    answerIds: readonly number[],
  ): void
  /**
   * Computes the previous token if necessary, and samples the token at `position` of the answer.
   * @param willContinue whether the next call is `next`: then the next step may start before this token is read back
   * @throws RivuletError `generation-failed` if the logits are invalid
   */
  next(position: number, willContinue: boolean): Promise<number>
  /**
   * @returns the logits that the last `next` sampled from, [vocabulary]. Requires that it had `willContinue: false`.
   */
  readLogits(): Promise<Float32Array>
  /** Frees the cache and the session. */
  release(): Promise<void>
}

/**
 * How decode steps run, fastest first.
 * - `replayed`: the KV cache is fixed on the GPU. A decode step submits its recorded dispatches, and the next step starts
 *   while its token is read back.
 * - `fixed-cache`: the KV cache is fixed on the GPU. ONNX Runtime runs each decode step.
 * - `growing-cache`: the KV cache is a new tensor at each step, as the graph was exported.
 */
type DecoderExecution = Extract<Execution, 'replayed' | 'fixed-cache' | 'growing-cache'>

/** The error that `next` throws if no logit is a usable number. */
export function createInvalidLogitsError(): RivuletError {
  return new RivuletError(
    'generation-failed',
    'The model produced invalid logits (NaN or Infinity). Try another dtype or device.',
  )
}
