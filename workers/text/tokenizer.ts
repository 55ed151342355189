import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { PromptPart } from './chat-template.js'
import { escapePattern } from './escape-pattern.js'

/** Converts text to token ids and back. Only the chat template can produce control tokens. */
export interface Tokenizer {
  /** The tokens before raw text: usually one begin-of-text token, or none. */
  readonly prefixIds: readonly number[]
  /** Returns the token ids. Recognizes control tokens only in parts of the template; content becomes plain text tokens. */
  encode(parts: readonly PromptPart[]): number[]
  /** Returns the text without control tokens. An incomplete character becomes U+FFFD. */
  decode(ids: readonly number[]): string
}

/** A parsed `tokenizer_config.json`. */
export type TokenizerConfig = Readonly<Record<string, unknown>>

interface AddedToken {
  readonly id: number
  readonly content: string
  readonly special: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
}

/**
 * Creates a tokenizer from the model's tokenizer files.
 * @param tokenizerJson a parsed `tokenizer.json`
 * @param config a parsed `tokenizer_config.json`
 * @throws RivuletError `model-invalid`
 */
export function createTokenizer(tokenizerJson: object, config: TokenizerConfig): Tokenizer {
  try {
    return buildTokenizer(tokenizerJson, config)
  } catch (error) {
    throw new RivuletError(
      'model-invalid',
      `tokenizer.json is invalid or not supported: ${describeError(error)}`,
      {
        cause: error,
      },
    )
  }
}

function buildTokenizer(tokenizerJson: object, config: TokenizerConfig): Tokenizer {
  const tokenizer = new HuggingFaceTokenizer(tokenizerJson, config)
  const prefixIds = readPrefixIds(tokenizer)
  const addedTokens: readonly AddedToken[] = [...tokenizer.get_added_tokens_decoder().values()]
  // Some vocabularies (Gemma, Phi) add runs of white space as tokens. These tokens are plain text in any part.
  const textTokens = addedTokens.filter((token) => !token.special && token.content.trim() === '')
  const controlTokens = addedTokens.filter((token) => !textTokens.includes(token))
  const controlIds = new Set(controlTokens.map((token) => token.id))
  const splitControl = createSplitter(controlTokens)
  const splitText = createSplitter(textTokens)

  /**
   * Encodes plain text. `sectionIndex` is 0 at the start of the prompt: some tokenizers mark only the first section.
   */
  function encodeText(text: string, sectionIndex: number): number[] {
    return splitText(text).flatMap((piece, index) =>
      typeof piece === 'string' ? encodePlain(piece, sectionIndex + index) : piece.id,
    )
  }

  /** Runs the tokenizer's pipeline without its split at added tokens. That split cannot tell content from template. */
  function encodePlain(text: string, sectionIndex: number): number[] {
    const { normalizer, pre_tokenizer: preTokenizer } = tokenizer
    const normalized = normalizer ? normalizer(text) : text
    if (normalized === '') return []
    const words = preTokenizer ? preTokenizer(normalized, { section_index: sectionIndex }) : [normalized]
    return encodeWords(words)
  }

  function encodeWords(words: readonly string[]): number[] {
    const { model } = tokenizer
    if (!model) return []
    return model([...words]).flatMap((token) => {
      const id = model.tokens_to_ids.get(token)
      if (id === undefined) return model.unk_token_id ?? []
      // A control token that is not part of the text stands for an unknown character.
      if (!controlIds.has(id) || !words.some((word) => word.includes(token))) return id
      // A vocabulary can contain a control token as an ordinary piece. If the characters are encoded one by one, the
      // control token cannot match.
      const chars = [...token]
      return chars.length > 1 ? encodeWords(chars) : (model.unk_token_id ?? [])
    })
  }

  return {
    prefixIds,
    encode(parts) {
      const pieces = parts.flatMap(({ text, isContent }) => (isContent ? [text] : splitControl(text)))
      return joinTexts(pieces).flatMap((piece, index) =>
        typeof piece === 'string' ? encodeText(piece, index) : piece.id,
      )
    },
    decode: (ids) =>
      ids.length === 0
        ? ''
        : tokenizer.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
  }
}

/** Finds the ids that the post-processor adds before a text, without those that it adds after the text. */
function readPrefixIds(tokenizer: HuggingFaceTokenizer): number[] {
  const { ids } = tokenizer.encode('')
  const withText = tokenizer.encode('a').ids
  const end = ids.findIndex((id, index) => id !== withText[index])
  return end === -1 ? ids : ids.slice(0, end)
}

type Piece = string | AddedToken

/** Creates a function that splits text at these tokens. If several start at the same place, the longest one wins. */
function createSplitter(tokens: readonly AddedToken[]): (text: string) => Piece[] {
  if (tokens.length === 0) return (text) => [text]
  const byContent = new Map(tokens.map((token) => [token.content, token]))
  const contents = [...byContent.keys()].toSorted((a, b) => b.length - a.length)
  const pattern = new RegExp(`(${contents.map(escapePattern).join('|')})`)
  // A pattern is compiled at its first use. With this call, a pattern that is too large fails here and not at the first
  // prompt.
  pattern.test('')
  // Splitting at a captured group keeps the matches at the odd indices.
  return (text) =>
    text.split(pattern).map((piece, index) => (index % 2 === 1 ? byContent.get(piece) : undefined) ?? piece)
}

/**
 * Joins adjacent texts, since template text and content are one text to the tokenizer. Strips white space next to tokens
 * with `lstrip` or `rstrip`.
 */
function joinTexts(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = []
  for (const piece of pieces) {
    const last = joined.at(-1)
    if (typeof piece === 'string' && typeof last === 'string') joined[joined.length - 1] = last + piece
    else joined.push(piece)
  }
  return joined
    .map((piece, index) => {
      if (typeof piece !== 'string') return piece
      const [before, after] = [joined[index - 1], joined[index + 1]]
      const start = typeof before === 'object' && before.rstrip ? piece.trimStart() : piece
      return typeof after === 'object' && after.lstrip ? start.trimEnd() : start
    })
    .filter((piece) => piece !== '')
}
