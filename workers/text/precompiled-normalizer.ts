import type { Normalize } from './normalizer.js'

/**
 * Creates a normalizer from a map of characters that SentencePiece has compiled: in base64, the size of a trie in bytes,
 * the trie (a double array, as in darts-clone) and the replacements, each ended by a zero byte. Follows the crate
 * `spm_precompiled`, which Python's `tokenizers` uses.
 * @throws Error if the map is damaged
 */
export function createPrecompiledNormalizer(charsmap: string): Normalize {
  const bytes = Uint8Array.from(atob(charsmap), (character) => character.charCodeAt(0))
  if (bytes.length < 4) return (text) => text
  const view = new DataView(bytes.buffer)
  const trieBytes = view.getUint32(0, true)
  if (trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) throw new Error('precompiled_charsmap is damaged.')
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, index) => view.getUint32(4 + index * 4, true))
  const replacements = bytes.subarray(4 + trieBytes)
  /** The normalized graphemes of earlier texts. */
  const known = new Map<string, string>()

  /** Returns the replacement of the shortest prefix of `chunk` that has one. */
  function replace(chunk: string): string | undefined {
    const start = findValue(trie, encoder.encode(chunk))
    if (start === undefined) return undefined
    const end = replacements.indexOf(0, start)
    return decoder.decode(replacements.subarray(start, end === -1 ? replacements.length : end))
  }

  function normalizeGrapheme(grapheme: string): string {
    let normalized = known.get(grapheme)
    if (normalized !== undefined) return normalized
    if (encoder.encode(grapheme).length < 6) normalized = replace(grapheme)
    normalized ??= Array.from(grapheme, (character) => replace(character) ?? character).join('')
    if (known.size >= maxKnown) known.clear()
    known.set(grapheme, normalized)
    return normalized
  }

  return (text) => {
    let normalized = ''
    for (const grapheme of splitGraphemes(text)) normalized += normalizeGrapheme(grapheme)
    return normalized
  }
}

const windowLength = 512

/** Yields the graphemes of a text, window by window: V8's segmenter takes the square of a text's length. */
function* splitGraphemes(text: string): Generator<string> {
  const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })
  let start = 0
  for (let length = windowLength; start < text.length;) {
    const graphemes = Array.from(
      segmenter.segment(text.slice(start, start + length)),
      ({ segment }) => segment,
    )
    // The last grapheme may continue after the window.
    if (start + length < text.length) graphemes.pop()
    yield* graphemes
    for (const { length: done } of graphemes) start += done
    length = graphemes.length === 0 ? length * 2 : windowLength
  }
}

const maxKnown = 10_000
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Returns the value of the shortest key that is a prefix of `bytes`. */
function findValue(trie: Uint32Array, bytes: Uint8Array): number | undefined {
  const readOffset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6)
  let node = readOffset(trie[0] ?? 0)
  for (const byte of bytes) {
    if (byte === 0) return undefined
    node ^= byte
    const unit = trie[node]
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined
    node ^= readOffset(unit)
    if (((unit >>> 8) & 1) === 1) return (trie[node] ?? 0) & 0x7fffffff
  }
  return undefined
}
