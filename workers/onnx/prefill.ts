import type { Decoder } from './decoder.js'
import { markTokens } from './prefill-rules.js'

/** Tokens to compute before the next token is sampled. */
export interface PrefillInput {
  /** The prompt, and after it the tokens of the answer that were generated before. */
  readonly ids: readonly number[]
  /** How many of `ids` are the prompt. */
  readonly promptLength: number
}

/**
 * Computes the tokens that the cache does not hold, in runs that give the same result as an uninterrupted answer: the prompt
 * at once, then one token for each step. Where the graph allows it, a run has many tokens of both.
 * @returns how many of the tokens the cache held already
 * @throws the reason of `signal`, between two runs
 */
export async function prefill(decoder: Decoder, input: PrefillInput, signal: AbortSignal): Promise<number> {
  const { ids, promptLength } = input
  const { prefillRules } = decoder
  // The last token is always computed: the answer starts from its logits.
  const reusable = prefillRules.wholePrompt ? [] : ids.slice(0, -1)
  const cached = decoder.recall(markTokens(prefillRules, reusable, promptLength))
  let start = cached
  while (start < ids.length) {
    signal.throwIfAborted()
    const end = findRunEnd(decoder, input, start)
    await decoder.prefill(ids.slice(start, end))
    start = end
  }
  return cached
}

function findRunEnd(
  { prefillRules, prefillChunkTokens }: Decoder,
  { ids, promptLength }: PrefillInput,
  start: number,
): number {
  if (prefillRules.wholePrompt) return start < promptLength ? promptLength : start + 1
  const { rotarySwitch } = prefillRules
  const chunkEnd = Math.min(start + prefillChunkTokens, ids.length)
  // The length at the end of a run selects the factors for all its tokens.
  return Math.max(promptLength, start + 1) > rotarySwitch
    ? Math.max(chunkEnd, rotarySwitch + 1)
    : Math.min(chunkEnd, rotarySwitch)
}
