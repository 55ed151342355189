import type { Tokenizer } from './tokenizer.js'

/** Converts a stream of token ids to text. The concatenated pieces equal the text of all ids decoded at once. */
export interface Detokenizer {
  /** Adds a token id and returns the text that this id completes; empty while a character is incomplete. */
  push(id: number): string
  /** Returns the text that is still held back. Call this after the last id. */
  flush(): string
}

/** Some decoders strip a space at the start of a text, so each token is decoded with this many tokens before it. */
const contextTokens = 5
/**
 * The bytes of an incomplete character at the end are within the last three characters of the text, because each character
 * has at least one byte.
 */
const contextCharacters = 3

/**
 * Creates a detokenizer that decodes only a short window of the newest tokens, so that the cost per token is constant.
 * The first bytes of an incomplete character decode to one U+FFFD (WHATWG Encoding, "UTF-8 decoder"). So only a U+FFFD at
 * the end of the window can still change. This U+FFFD is held back until the next token.
 */
export function createDetokenizer(
  tokenizer: Pick<Tokenizer, 'decode'>,
  promptIds: readonly number[],
): Detokenizer {
  const ids = promptIds.slice(-contextTokens)
  let windowLength = tokenizer.decode(ids).length
  let heldLength = 0

  /** Drops the oldest tokens, but keeps enough to decode the end of the text. */
  function shortenWindow(): void {
    while (ids.length > contextTokens) {
      const shorter = tokenizer.decode(ids.slice(1)).length
      if (shorter < contextCharacters) return
      ids.shift()
      windowLength = shorter
    }
  }

  return {
    push(id) {
      ids.push(id)
      const window = tokenizer.decode(ids)
      const end = window.endsWith('\uFFFD') ? window.length - 1 : window.length
      const text = window.slice(windowLength - heldLength, end)
      windowLength = window.length
      heldLength = window.length - end
      shortenWindow()
      return text
    },
    flush() {
      const text = '\uFFFD'.repeat(heldLength)
      heldLength = 0
      return text
    },
  }
}
