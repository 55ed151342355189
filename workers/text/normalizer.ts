import { BertNormalizer } from '@huggingface/tokenizers'
import { compilePattern, type Pattern } from './compile-pattern.js'
import { createPrecompiledNormalizer } from './precompiled-normalizer.js'
import { encodeByteCharacters } from './byte-characters.js'

/** Changes a text before it is split into words. */
export type Normalize = (text: string) => string

/** A normalizer in `tokenizer.json`. The fields depend on `type`. */
export interface NormalizerConfig {
  readonly type: string
  readonly normalizers?: readonly NormalizerConfig[]
  readonly pattern?: Pattern
  readonly content?: string
  readonly prepend?: string
  readonly strip_left?: boolean
  readonly strip_right?: boolean
  readonly precompiled_charsmap?: string | null
}

/**
 * Creates the normalizer of a `tokenizer.json`, with the results of Python's `tokenizers`. Only `BertNormalizer` is that of
 * `@huggingface/tokenizers` 0.2.0: its others use JavaScript's idea of white space, interpret `$&` in a replacement, and
 * replace a precompiled map of characters by NFKC.
 * @throws Error if the type is not supported
 */
export function createNormalizer(config: NormalizerConfig | null | undefined): Normalize {
  if (!config) return (text) => text
  switch (config.type) {
    case 'Sequence': {
      const stages = (config.normalizers ?? []).map(createNormalizer)
      return (text) => stages.reduce((result, normalize) => normalize(result), text)
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = config.type
      return (text) => text.normalize(form)
    }
    case 'Replace': {
      const pattern = compilePattern(config.pattern!)
      const content = config.content ?? ''
      return (text) => text.replaceAll(pattern, () => content)
    }
    case 'Prepend':
      return (text) => (text === '' ? '' : (config.prepend ?? '') + text)
    case 'Strip': {
      const left = config.strip_left === false ? '' : '^\\p{White_Space}+'
      const right = config.strip_right === false ? '' : '\\p{White_Space}+$'
      const pattern = new RegExp([left, right].filter(Boolean).join('|') || '(?!)', 'gu')
      return (text) => text.replaceAll(pattern, '')
    }
    case 'StripAccents':
      return (text) => text.replaceAll(/\p{M}/gu, '')
    case 'Lowercase':
      // One character at a time: the lower case of a whole text depends on the context (the Greek final sigma).
      return (text) => Array.from(text, (character) => character.toLowerCase()).join('')
    case 'Nmt':
      return (text) => Array.from(text, replaceNmt).join('')
    case 'Precompiled':
      return createPrecompiledNormalizer(config.precompiled_charsmap ?? '')
    case 'ByteLevel':
      return encodeByteCharacters
    case 'BertNormalizer': {
      const normalizer = new BertNormalizer({ ...config, type: 'BertNormalizer' })
      return (text) => normalizer(text)
    }
    default:
      throw new Error(`the normalizer "${config.type}" is not supported.`)
  }
}

/** The control characters that `do_nmt` in `normalizers/unicode.rs` removes, as ranges. */
const nmtRemoved = [
  [0x01, 0x08],
  [0x0b, 0x0b],
  [0x0e, 0x1f],
  [0x7f, 0x7f],
  [0x8f, 0x8f],
  [0x9f, 0x9f],
] as const
/** The code points that `do_nmt` replaces by a space. */
const nmtSpaces = new Set([
  0x09, 0x0a, 0x0c, 0x0d, 0x1680, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x2581, 0xfeff,
  0xfffd,
])

function replaceNmt(character: string): string {
  const code = character.codePointAt(0)!
  if (nmtRemoved.some(([from, to]) => code >= from && code <= to)) return ''
  return nmtSpaces.has(code) ? ' ' : character
}
