import type { Decoder } from './decoder.js'
import type { KeptPrefixes } from './kept-prefixes.js'
import { markTokens } from './prefill-rules.js'

/** The tokens to compute before the next token is sampled. */
export interface PrefillInput {
  /** The tokens of the prompt, followed by the tokens of the answer that were generated before. */
  readonly ids: readonly number[]
  /** The number of tokens in `ids` that belong to the prompt. */
  readonly promptLength: number
}

/**
 * Computes the tokens that the cache does not hold. The runs give the same result as an uninterrupted answer, which
 * computes the prompt at once and then one token per step. If the graph allows it, one run computes many tokens of prompt
 * and answer.
 * Yields the number of tokens in the cache after each run except the last one.
 * @param kept the prefixes in the model store, which are used as those in the cache are
 * @returns the number of tokens that the cache already held
 * @throws the reason of `signal`, if it is aborted before a run
 */
export async function* prefill(
  decoder: Decoder,
  input: PrefillInput,
  signal: AbortSignal,
  kept?: KeptPrefixes,
): AsyncGenerator<number, number, undefined> {
  const { ids, promptLength } = input
  const { prefillRules } = decoder
  const marked = prefillRules.wholePrompt ? [] : markTokens(prefillRules, ids, promptLength)
  if (decoder.recallLogits(marked)) return ids.length
  // The answer starts from the logits of the last token, so it is computed.
  const reusable = marked.slice(0, -1)
  await kept?.restore(decoder, reusable, signal)
  const cached = decoder.recall(reusable)
  yield* computeRuns(decoder, input, cached, signal)
  return cached
}

/**
 * Computes the tokens from `start`, in as few runs as the graph allows.
 * @throws the reason of `signal`, if it is aborted before a run
 */
export async function computeFrom(
  decoder: Decoder,
  input: PrefillInput,
  start: number,
  signal: AbortSignal,
): Promise<void> {
  const runs = computeRuns(decoder, input, start, signal)
  while (!(await runs.next()).done);
}

/** Computes the tokens from `start`. Yields how many tokens are computed, after each run but the last. */
async function* computeRuns(
  decoder: Decoder,
  input: PrefillInput,
  start: number,
  signal: AbortSignal,
): AsyncGenerator<number, undefined, undefined> {
  for (let from = start; from < input.ids.length;) {
    signal.throwIfAborted()
    const end = findRunEnd(decoder, input, from)
    await decoder.prefill(input.ids.slice(from, end))
    from = end
    if (from < input.ids.length) yield from
  }
}

function findRunEnd(
  { prefillRules, prefillChunkTokens }: Decoder,
  { ids, promptLength }: PrefillInput,
  start: number,
): number {
  if (prefillRules.wholePrompt) return start < promptLength ? promptLength : start + 1
  const { rotarySwitch } = prefillRules
  const chunkEnd = Math.min(start + prefillChunkTokens, ids.length)
  // The total length at the end of a run selects the rotary factors for all tokens of the run.
  return Math.max(promptLength, start + 1) > rotarySwitch
    ? Math.max(chunkEnd, rotarySwitch + 1)
    : Math.min(chunkEnd, rotarySwitch)
}
