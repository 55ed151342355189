import type { Tokenizer } from './tokenizer.js'

/** Turns token ids into text as they come. The texts joined are the text of all ids at once. */
export interface Detokenizer {
  /** The text that this id completes; empty while a character is incomplete. */
  push(id: number): string
  /** What is still held back, when no more ids will come. */
  flush(): string
}

/** Some decoders strip what begins a text, so a token is decoded with these many before it. */
const contextTokens = 5
/** A character that is torn at the text's end lies whole in the last three: each is a byte at least. */
const contextCharacters = 3

/**
 * Decodes a short window of the newest tokens, so that the cost of a token does not grow with the text.
 * Only a U+FFFD at the end of the window can still change: bytes that begin a character decode to one of them
 * (WHATWG Encoding, "UTF-8 decoder"). So that one is held back, until the next token shows what it is.
 */
export function createDetokenizer(
  tokenizer: Pick<Tokenizer, 'decode'>,
  promptIds: readonly number[],
): Detokenizer {
  const ids = promptIds.slice(-contextTokens)
  let windowLength = tokenizer.decode(ids).length
  let heldLength = 0

  /** Drops the oldest tokens while enough is left to tell how the text ends. */
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
