import type { Tokenizer } from '../tokenizer.js'

/**
 * Returns the bytes that each token adds to a text, by id; undefined for control tokens. The decoder is asked for each token
 * after another one, because some decoders strip a space at the start of a text.
 */
export function listTokenBytes(tokenizer: Tokenizer): readonly (readonly number[] | undefined)[] {
  const before =
    Array.from({ length: tokenizer.size }, (_, id) => id).find(
      (id) => tokenizer.decode([id]).trim() !== '',
    ) ?? 0
  const startLength = tokenizer.decode([before]).length
  return Array.from({ length: tokenizer.size }, (_, id) => {
    if (tokenizer.readControlText(id) !== undefined) return undefined
    const bytes = tokenizer.readBytes(id)
    if (bytes) return bytes
    const text = tokenizer.decode([before, id]).slice(startLength)
    return text === '' ? undefined : Array.from(encoder.encode(text))
  })
}

const encoder = new TextEncoder()
