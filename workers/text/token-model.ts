/** Splits words into the tokens of a vocabulary. */
export interface TokenModel {
  /** The ids by the tokens' texts. */
  readonly ids: ReadonlyMap<string, number>
  /** The token for text that the vocabulary lacks; undefined if such text is dropped. */
  readonly unknownId: number | undefined
  /** Returns the ids of a word's tokens. Yields now and then during a long word, so that the caller can pause. */
  encode(word: string): Generator<undefined, readonly number[], undefined>
}

/** The number of steps between two yields: well below a millisecond of work. */
export const stepsPerYield = 256

/**
 * Creates a function that returns the ids of a text's UTF-8 bytes (`<0xE2>`), or undefined if the vocabulary lacks one of
 * them.
 */
export function createByteFallback(
  ids: ReadonlyMap<string, number>,
): (text: string) => readonly number[] | undefined {
  const byteIds = Array.from({ length: 256 }, (_, byte) =>
    ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  )
  return (text) => {
    const found = Array.from(encoder.encode(text), (byte) => byteIds[byte])
    return found.every((id) => id !== undefined) ? found : undefined
  }
}

const encoder = new TextEncoder()
