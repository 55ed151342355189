/** Splits words into the tokens of a vocabulary. */
export interface TokenModel {
  /** Returns a token's id. */
  findId(token: string): number | undefined
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
  findId: (token: string) => number | undefined,
): (text: string) => readonly number[] | undefined {
  const byteIds = Array.from({ length: 256 }, (_, byte) =>
    findId(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  )
  return (text) => {
    const ids = Array.from(encoder.encode(text), (byte) => byteIds[byte])
    return ids.every((id) => id !== undefined) ? ids : undefined
  }
}

const encoder = new TextEncoder()
