import { RivuletError } from '../../lib/contract/errors.js'
import type { Execution } from '../../lib/contract/worker-api.js'
import type { PrefillRules } from './prefill-rules.js'
import type { Ranking } from './ranking.js'
import type { Sampling, TokenMask } from './sampler.js'
import type { StateSchema } from './state-schema.js'

/** The largest number of steps that start before a token is read back. */
export const mostStepsAhead = 2

/** Returns the tokens that can be chosen next; undefined if all can. */
export type FindMask = () => Promise<TokenMask | undefined>

/** A loaded model with the KV cache of one conversation, on any device. Several conversations share a model: `fork`. */
export interface Decoder {
  /** How decode steps run. `ModelInfo` reports this value. */
  readonly execution: DecoderExecution
  /** Resolves with the browser's message if the device is lost before `release`. Never resolves on WASM. */
  readonly lost: Promise<string>
  /**
   * The maximum number of tokens in one `prefill` call, unless `prefillRules` require more. It limits the memory use, and
   * the delay of a cancel, which takes effect between two calls.
   */
  readonly prefillChunkTokens: number
  readonly prefillRules: PrefillRules
  /**
   * Restores the longest reusable prefix of `ids` that this, an earlier or another conversation has computed. States of fixed
   * size can be restored only where they were kept: near the end of a prompt, or at the end of an answer.
   * @param ids the prompt, marked by `markTokens`, without its last token. The last token is always computed, since its
   *   logits are needed.
   * @returns the length of the prefix that is now in the cache
   */
  recall(ids: readonly number[]): number
  /**
   * Returns true if the newest logits are those after exactly `ids`. Then nothing needs to be recalled or computed before the
   * next token is sampled.
   * @param ids as for `recall`, with its last token
   */
  recallLogits(ids: readonly number[]): boolean
  /** Returns how many tokens `recall` would restore. Changes nothing. */
  countReusable(ids: readonly number[]): number
  readonly stateSchema: Pick<StateSchema, 'caches' | 'fixedStates'>
  /** Describes the copies of `copyStates`. They can be restored in each decoder with the same description, of the same model. */
  readonly stateFormat: string
  /**
   * Copies the states of a prompt that was just computed. They can be restored in a later decoder. No other method may be
   * called while the pieces are read.
   * @param ids the prompt, marked by `markTokens`
   */
  copyStates(ids: readonly number[]): StateCopy
  /**
   * Makes copied states the current conversation.
   * @param pieces of the sizes that `copyStates` returned
   * @param reservedTokens how many tokens the conversation will have, so that a fixed cache grows only once. @default 0
   */
  restoreStates(
    ids: readonly number[],
    pieces: readonly Uint8Array<ArrayBuffer>[],
    reservedTokens?: number,
  ): void
  /** Returns how many of the first tokens of `ids` the current conversation has computed, as `recall` would keep them. */
  countCurrent(ids: readonly number[]): number
  /** Computes `ids`, which follow the tokens in the cache. @param ids at least one token */
  prefill(ids: readonly number[]): Promise<void>
  /**
   * Starts or resumes the sampling of an answer. Can be called before or after the prefill.
   * @param promptIds the tokens of the prompt, for the repetition penalty
   * @param answerIds the tokens of the answer that were generated so far
   * @param rankCount the number of tokens that `readRanking` ranks, from 0 to `mostRanked`; undefined if it is not called
   * @throws RivuletError `invalid-option` if `logitBias` names a token outside the vocabulary
   */
  startAnswer(
    sampling: Sampling,
    seed: number,
    promptIds: readonly number[],
    answerIds: readonly number[],
    rankCount?: number,
  ): void
  /**
   * Computes the previous token if no step has computed it yet. Then samples the token at `position` of the answer.
   * @param following how many further calls of `next` follow at least, unless the answer ends. As many steps can start before this
   *   token is read back, but not more than `mostStepsAhead`. Must be 0 with `findMask`, and must not count a call with `findMask` or one
   *   after `append`.
   * @param findMask returns the tokens that can be chosen; all if it returns undefined. It is called while the device
   *   computes the previous token.
   * @throws RivuletError `generation-failed` if the logits are invalid
   */
  next(position: number, following: number, findMask?: FindMask): Promise<number>
  /** Adds tokens to the answer that are not sampled. The caller computes them with `prefill`, after the previous token. */
  append(ids: readonly number[]): void
  /** Ranks the tokens by the logits from which the last call of `next` sampled. */
  readRanking(): Ranking
  /**
   * For tests: returns the logits from which the last call of `next` sampled, [vocabulary]. That call must have had
   * `following: 0`.
   */
  readLogits(): Promise<Float32Array>
  /** Ends the answer. The steps of other conversations no longer wait for those of this one. */
  endAnswer(): void
  /**
   * Creates a decoder for another conversation of the same model. The runs of both take turns; where the graph allows it, one run
   * computes the steps of several conversations.
   */
  fork(): Decoder
  /** Frees the caches of all conversations, and the session. */
  release(): Promise<void>
}

/** The states of a conversation: those of the KV cache, [heads, tokens, head size], and those of fixed size. */
export interface StateCopy {
  /**
   * The tokens of the conversation, marked by `markTokens`: a prefix of the prompt. States of fixed size cannot be truncated, so
   * with them it is the part before the prompt's checkpoint, with which later prompts also start.
   */
  readonly ids: readonly number[]
  /** The size of each piece in bytes. A piece is one state. */
  readonly sizes: readonly number[]
  read(): AsyncIterable<Uint8Array<ArrayBuffer>>
}

/**
 * How decode steps run, from the fastest to the slowest.
 * - `replayed`: the KV cache stays in fixed GPU buffers. A decode step submits its recorded dispatches, and the next one or
 *   two steps start while the token of this step is read back.
 * - `fixed-cache`: the KV cache stays in fixed GPU buffers. ONNX Runtime runs each decode step.
 * - `growing-cache`: each step creates new tensors for the KV cache, as in the exported graph.
 */
type DecoderExecution = Extract<Execution, 'replayed' | 'fixed-cache' | 'growing-cache'>

/** Creates the error that `next` throws if a logit is NaN or +Infinity, or if all logits are -Infinity. */
export function createInvalidLogitsError(): RivuletError {
  return new RivuletError(
    'generation-failed',
    'The model produced invalid logits (NaN or Infinity). Try another dtype or device.',
  )
}
