import type { Tokenizer } from './tokenizer.js'

/** Turns token ids into text as they come. The texts joined are the text of all ids at once. */
export interface Detokenizer {
  /** The text that this id completes; empty while a character is incomplete. */
  push(id: number): string
  /** What is still held back, when no more ids will come. */
  flush(): string
}

/** A UTF-8 character has at most four bytes: behind this many further tokens a torn one is not going to heal. */
const maxHeldTokens = 4
/** Tokens of the prompt that the first new one is decoded with, since some decoders strip what begins a text. */
const contextTokens = 5

/**
 * Decodes a short window of the newest tokens, so that the cost of a token does not grow with the text.
 * Two offsets into the ids, as in vLLM's `detokenize_incrementally`: text before `read` is out,
 * and is decoded from `start` on only to be subtracted.
 */
export function createDetokenizer(
  tokenizer: Pick<Tokenizer, 'decode'>,
  promptIds: readonly number[],
): Detokenizer {
  const ids = promptIds.slice(-contextTokens)
  let start = 0
  let read = ids.length

  /** The text between `read` and `end`, which is out from now on. */
  function release(end: number): string {
    const before = tokenizer.decode(ids.slice(start, read))
    const text = tokenizer.decode(ids.slice(start, end)).slice(before.length)
    start = read
    read = end
    return text
  }

  return {
    push(id) {
      ids.push(id)
      const window = tokenizer.decode(ids.slice(start))
      if (!window.endsWith('\uFFFD')) return release(ids.length)
      return ids.length - read > maxHeldTokens ? release(read + 1) : ''
    },
    flush: () => release(ids.length),
  }
}
