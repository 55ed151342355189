import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { PromptPart, TemplateTokens } from './chat-template.js'
import { escapePattern } from './escape-pattern.js'

/** Text ↔ token ids, with control tokens under our hand. */
export interface Tokenizer {
  /** What goes before raw text, usually one begin-of-text token or nothing. */
  readonly prefixIds: readonly number[]
  readonly chatTemplate: string | undefined
  readonly templateTokens: TemplateTokens
  /** Control tokens are looked for in the template's words alone; contents give plain text tokens. */
  encode(parts: readonly PromptPart[]): number[]
  /** The ids' text without control tokens. Half a character comes out as U+FFFD. */
  decode(ids: readonly number[]): string
}

/** The parts of `tokenizer_config.json` that count here. */
export interface TokenizerConfig extends Record<string, unknown> {
  readonly chat_template?: unknown
}

interface AddedToken {
  readonly id: number
  readonly content: string
  readonly special: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
}

/**
 * @param tokenizerJson a parsed `tokenizer.json`
 * @param config a parsed `tokenizer_config.json`
 * @throws RivuletError `model-invalid`
 */
export function createTokenizer(tokenizerJson: object, config: TokenizerConfig): Tokenizer {
  try {
    return buildTokenizer(tokenizerJson, config)
  } catch (error) {
    throw new RivuletError('model-invalid', `tokenizer.json cannot be used: ${describeError(error)}`, {
      cause: error,
    })
  }
}

function buildTokenizer(tokenizerJson: object, config: TokenizerConfig): Tokenizer {
  const tokenizer = new HuggingFaceTokenizer(tokenizerJson, config)
  const prefixIds = readPrefixIds(tokenizer)
  const addedTokens: readonly AddedToken[] = [...tokenizer.get_added_tokens_decoder().values()]
  // Some vocabularies add runs of white space as tokens (Gemma, Phi): those are text, wherever they stand.
  const textTokens = addedTokens.filter((token) => !token.special && token.content.trim() === '')
  const controlTokens = addedTokens.filter((token) => !textTokens.includes(token))
  const controlIds = new Set(controlTokens.map((token) => token.id))
  const splitControl = createSplitter(controlTokens)
  const splitText = createSplitter(textTokens)

  /** One stretch of plain text. `sectionIndex` counts from the prompt's start: some tokenizers mark the first only. */
  function encodeText(text: string, sectionIndex: number): number[] {
    return splitText(text).flatMap((piece, index) =>
      typeof piece === 'string' ? encodePlain(piece, sectionIndex + index) : piece.id,
    )
  }

  /** The tokenizer's own pipeline without its splitting at added tokens, which knows no content from template. */
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
      // What stands for an unknown character is no word of the text.
      if (!controlIds.has(id) || !words.some((word) => word.includes(token))) return id
      // A vocabulary can hold a control token as an ordinary piece; one character at a time it cannot be matched.
      const chars = [...token]
      return chars.length > 1 ? encodeWords(chars) : (model.unk_token_id ?? [])
    })
  }

  return {
    prefixIds,
    chatTemplate: findChatTemplate(config),
    templateTokens: {
      bos_token: readToken(config.bos_token),
      eos_token: readToken(config.eos_token),
      pad_token: readToken(config.pad_token),
      unk_token: readToken(config.unk_token),
    },
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

/** The ids that come before any text, without those that the post-processor puts behind it. */
function readPrefixIds(tokenizer: HuggingFaceTokenizer): number[] {
  const { ids } = tokenizer.encode('')
  const withText = tokenizer.encode('a').ids
  const end = ids.findIndex((id, index) => id !== withText[index])
  return end === -1 ? ids : ids.slice(0, end)
}

type Piece = string | AddedToken

/** Cuts text at the given tokens; the longest wins where several begin at one place. */
function createSplitter(tokens: readonly AddedToken[]): (text: string) => Piece[] {
  if (tokens.length === 0) return (text) => [text]
  const byContent = new Map(tokens.map((token) => [token.content, token]))
  const contents = [...byContent.keys()].toSorted((a, b) => b.length - a.length)
  const pattern = new RegExp(`(${contents.map(escapePattern).join('|')})`)
  // Compiled at its first use: one that is too large fails now, not at the first prompt.
  pattern.test('')
  // Splitting on a captured group keeps what was matched at the odd places.
  return (text) =>
    text.split(pattern).map((piece, index) => (index % 2 === 1 ? byContent.get(piece) : undefined) ?? piece)
}

/** Joins neighbouring texts (a template's words and a content are one text to a tokenizer), and strips as tokens ask. */
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

/** A model may name several templates; `default` is the one for chat. */
function findChatTemplate({ chat_template: template }: TokenizerConfig): string | undefined {
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return undefined
  const named = template as readonly { readonly name?: unknown; readonly template?: unknown }[]
  const found = named.find((entry) => entry.name === 'default')?.template
  return typeof found === 'string' ? found : undefined
}

/** `tokenizer_config.json` writes a token as a string or as an object with its content. */
function readToken(token: unknown): string | undefined {
  if (typeof token === 'string') return token
  const content = (token as { readonly content?: unknown } | null | undefined)?.content
  return typeof content === 'string' ? content : undefined
}
