import { encodeByteCharacters } from './byte-characters.js'
import { compilePattern, type Pattern } from './compile-pattern.js'

/**
 * Splits a normalized text into words, one at a time.
 * @param isStart true if the text is the start of the whole text; some tokenizers add a space only there
 */
export type SplitWords = (text: string, isStart: boolean) => Iterable<string>

/** A pre-tokenizer in `tokenizer.json`. The fields depend on `type`. */
export interface PreTokenizerConfig {
  readonly type: string
  readonly pretokenizers?: readonly PreTokenizerConfig[]
  readonly pattern?: Pattern
  readonly behavior?: Behavior
  readonly invert?: boolean
  readonly individual_digits?: boolean
  readonly add_prefix_space?: boolean
  readonly use_regex?: boolean
  readonly replacement?: string
  readonly prepend_scheme?: 'always' | 'first' | 'never'
  readonly split?: boolean
  readonly delimiter?: string
  readonly length?: number
}

/** What becomes of a match: a word, nothing, or a part of the word before, after or of the match next to it. */
type Behavior = 'Isolated' | 'Removed' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous'

/** The words of GPT-2 (`pre_tokenizers/byte_level.rs`). `\s` of JavaScript is not Unicode's white space. */
const gpt2Words =
  /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu
const whiteSpace = /\p{White_Space}+/gu
/** The characters of `\w` in Rust's regular expressions. */
export const wordCharacter = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]'
const punctuation = '[\\p{P}!-/:-@\\[-`{-~]'

/**
 * Creates the pre-tokenizer of a `tokenizer.json`, with the results of Python's `tokenizers`. Those of
 * `@huggingface/tokenizers` 0.2.0 ignore `behavior`, know only ASCII digits and split no words at `▁`.
 * @throws Error if the type is not supported
 */
export function createPreTokenizer(config: PreTokenizerConfig | null | undefined): SplitWords {
  if (!config) return (text) => [text]
  switch (config.type) {
    case 'Sequence':
      return createSequence((config.pretokenizers ?? []).map(createPreTokenizer))
    case 'Split':
      return createSplit(compilePattern(config.pattern!), config.behavior, config.invert)
    case 'ByteLevel':
      return createByteLevel(config)
    case 'Metaspace':
      return createMetaspace(config)
    case 'Digits':
      return createSplit(/\p{N}/gu, config.individual_digits ? 'Isolated' : 'Contiguous')
    case 'Punctuation':
      return createSplit(new RegExp(punctuation, 'gu'), config.behavior)
    case 'Whitespace':
      return createSplit(
        new RegExp(`${wordCharacter}+|(?:(?!${wordCharacter})\\P{White_Space})+`, 'gu'),
        'Removed',
        true,
      )
    case 'WhitespaceSplit':
      return createSplit(whiteSpace, 'Removed')
    case 'BertPreTokenizer':
      return createSequence([
        createSplit(whiteSpace, 'Removed'),
        createSplit(new RegExp(punctuation, 'gu'), 'Isolated'),
      ])
    case 'CharDelimiterSplit':
      return createSplit(compilePattern({ String: config.delimiter! }), 'Removed')
    case 'FixedLength':
      return createSplit(new RegExp(`[^]{1,${config.length ?? 5}}`, 'gu'), 'Isolated')
    default:
      throw new Error(`the pre-tokenizer "${config.type}" is not supported.`)
  }
}

function createSequence(stages: readonly SplitWords[]): SplitWords {
  return (text, isStart) =>
    stages.reduce<Iterable<string>>((words, split) => splitEach(words, split, isStart), [text])
}

function* splitEach(words: Iterable<string>, split: SplitWords, isStart: boolean): Generator<string> {
  let isFirst = isStart
  for (const word of words) {
    yield* split(word, isFirst)
    isFirst = false
  }
}

function createByteLevel({
  add_prefix_space: addsSpace,
  use_regex: usesRegex,
}: PreTokenizerConfig): SplitWords {
  const split = usesRegex === false ? (text: string) => [text] : createSplit(gpt2Words)
  return function* splitBytes(text, isStart) {
    const prefixed = addsSpace && !text.startsWith(' ') ? ` ${text}` : text
    for (const word of split(prefixed, isStart)) yield encodeByteCharacters(word)
  }
}

function createMetaspace(config: PreTokenizerConfig): SplitWords {
  const { replacement = '▁', split: splits = true } = config
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? 'never' : 'always')
  const split = createSplit(compilePattern({ String: replacement }), 'MergedWithNext')
  return (text, isStart) => {
    const marked = text.replaceAll(' ', () => replacement)
    const isPrefixed = scheme === 'always' || (scheme === 'first' && isStart)
    const prefixed = isPrefixed && !marked.startsWith(replacement) ? replacement + marked : marked
    return splits ? split(prefixed, isStart) : [prefixed]
  }
}

/** Creates a function that splits a text at the matches of a pattern. `invert` splits at the text between the matches. */
function createSplit(pattern: RegExp, behavior: Behavior = 'Isolated', invert = false): SplitWords {
  return function* splitText(text) {
    /** The word that may still grow. */
    let word = ''
    let wasMatch = false
    for (const { piece, isMatch } of findPieces(text, pattern, invert)) {
      const joins =
        (behavior === 'MergedWithPrevious' && isMatch && !wasMatch) ||
        (behavior === 'MergedWithNext' && !isMatch && wasMatch) ||
        (behavior === 'Contiguous' && isMatch === wasMatch)
      if (!joins) {
        if (word !== '') yield word
        word = ''
      }
      wasMatch = isMatch
      if (behavior !== 'Removed' || !isMatch) word += piece
    }
    if (word !== '') yield word
  }
}

/** Yields the matches of a pattern and the texts between them, in order. */
function* findPieces(text: string, pattern: RegExp, invert: boolean) {
  let end = 0
  for (const match of text.matchAll(pattern)) {
    const [found] = match
    if (match.index > end) yield { piece: text.slice(end, match.index), isMatch: invert }
    if (found !== '') yield { piece: found, isMatch: !invert }
    end = match.index + found.length
  }
  if (end < text.length) yield { piece: text.slice(end), isMatch: invert }
}
