import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { runSlices } from '../run-slices.js'
import type { AddedToken } from './added-tokens.js'
import { createBpe, type BpeConfig } from './bpe.js'
import { decodeByteCharacters } from './byte-characters.js'
import type { ChatTemplate, PromptPart } from './chat-template.js'
import { createEncoder } from './encoder.js'
import { readToken } from './find-chat-template.js'
import { createNormalizer, type NormalizerConfig } from './normalizer.js'
import { createPreTokenizer, type PreTokenizerConfig } from './pre-tokenizer.js'
import { readTurnTokens } from './turn-tokens.js'
import type { TokenModel } from './token-model.js'
import { createUnigram, type UnigramConfig } from './unigram.js'

/** Converts text to token ids and back. Only the chat template can produce control tokens. */
export interface Tokenizer {
  /** The number of token ids, which count from 0. */
  readonly size: number
  /** The tokens before raw text: usually one begin-of-text token, or none. */
  readonly prefixIds: readonly number[]
  /** The token that the chat template writes after an answer; undefined if it writes none. */
  readonly endOfTurnId: number | undefined
  /** Returns the id of the token with this text. */
  findId(token: string): number | undefined
  /** Returns the text of a control token, which `decode` leaves out; undefined for other tokens. */
  readControlText(id: number): string | undefined
  /**
   * Returns the token ids. Recognizes control tokens only in parts of the template; content becomes plain text tokens.
   * Pauses during a long text, so that the worker stays responsive.
   * @throws the reason of `signal`
   */
  encode(parts: readonly PromptPart[], signal?: AbortSignal): Promise<number[]>
  /** Returns the text without control tokens. An incomplete character becomes U+FFFD. */
  decode(ids: readonly number[]): string
  /** Returns the bytes of a token that can be a part of a character; undefined if the vocabulary has no such tokens. */
  readBytes(id: number): readonly number[] | undefined
}

/** A parsed `tokenizer_config.json`. */
export type TokenizerConfig = Readonly<Record<string, unknown>>

/** The fields of `tokenizer.json` that are used here. */
interface TokenizerJson {
  readonly normalizer?: NormalizerConfig | null
  readonly pre_tokenizer?: PreTokenizerConfig | null
  readonly model: { readonly type?: string; readonly vocab: unknown; readonly merges?: unknown }
  readonly added_tokens: readonly AddedTokenJson[]
  readonly decoder?: object | null
}

interface AddedTokenJson {
  readonly id: number
  readonly content: string
  readonly special?: boolean
  readonly normalized?: boolean
  readonly single_word?: boolean
  readonly lstrip?: boolean
  readonly rstrip?: boolean
}

/** What makes added tokens control tokens, in addition to the tokenizer's files. */
export interface TokenUsage {
  /** The tokens that it writes around messages are control tokens. */
  readonly chatTemplate?: ChatTemplate | undefined
  /** The texts of further control tokens. */
  readonly endTokens?: readonly string[] | undefined
}

/**
 * Creates a tokenizer from the model's tokenizer files. Its ids equal those of Python's `tokenizers`.
 * @param tokenizerJson a parsed `tokenizer.json`
 * @param config a parsed `tokenizer_config.json`
 * @throws RivuletError `model-invalid`
 */
export function createTokenizer(
  tokenizerJson: object,
  config: TokenizerConfig,
  usage: TokenUsage = {},
): Tokenizer {
  try {
    // Each part of the file is checked where it is used; a wrong type throws there.
    return buildTokenizer(tokenizerJson as TokenizerJson, config, usage)
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

function buildTokenizer(
  json: TokenizerJson,
  config: TokenizerConfig,
  { chatTemplate, endTokens = [] }: TokenUsage,
): Tokenizer {
  const { model, runtime } = createModel(json, config)
  const tokenTexts = json.added_tokens.map(({ content }) => content)
  const turns = readTurnTokens(chatTemplate, tokenTexts)
  const namedTexts = new Set([...listNamedTexts(config), ...endTokens])
  const isSpecial = ({ special, content }: AddedTokenJson) => special === true || namedTexts.has(content)
  const addedTokens = json.added_tokens.map((token) =>
    readAddedToken(token, isSpecial(token) || turns.written.includes(token.content)),
  )
  const vocabulary: string[] = []
  for (const [token, id] of model.ids) vocabulary[id] = token
  for (const { id, content } of addedTokens) vocabulary[id] = content
  const hiddenIds = new Set(json.added_tokens.filter(isSpecial).map(({ id }) => id))
  const addedIds = new Map(addedTokens.map(({ content, id }) => [content, id]))
  const findId = (token: string) => addedIds.get(token) ?? model.ids.get(token)
  const isByteLevel = JSON.stringify(json.decoder ?? null).includes('"ByteLevel"')
  const encodeParts = createEncoder({
    addedTokens,
    normalize: createNormalizer(json.normalizer),
    splitWords: createPreTokenizer(json.pre_tokenizer),
    model,
  })
  return {
    size: vocabulary.length,
    prefixIds: readPrefixIds(runtime, findId),
    endOfTurnId: turns.endOfTurn === undefined ? undefined : addedIds.get(turns.endOfTurn),
    findId,
    readControlText: (id) => (hiddenIds.has(id) ? vocabulary[id] : undefined),
    encode: (parts, signal) => runSlices(encodeParts(parts), signal),
    decode(ids) {
      const tokens = ids.flatMap((id) => (hiddenIds.has(id) ? [] : (vocabulary[id] ?? [])))
      if (tokens.length === 0) return ''
      return runtime.decoder ? runtime.decoder(tokens) : tokens.join(' ')
    },
    readBytes(id) {
      const token = vocabulary[id] ?? ''
      // SentencePiece's byte fallback: one token for each byte.
      const [, fallback] = /^<0x([0-9A-F]{2})>$/.exec(token) ?? []
      if (fallback !== undefined) return [Number.parseInt(fallback, 16)]
      return isByteLevel ? decodeByteCharacters(token) : undefined
    },
  }
}

/** A tokenizer's model, and the runtime for everything else: the decoder and the post-processor. */
interface Model {
  readonly model: TokenModel
  readonly runtime: HuggingFaceTokenizer
}

/** Creates a tokenizer's model. The runtime's own is used for WordPiece and WordLevel. */
function createModel(json: TokenizerJson, config: TokenizerConfig): Model {
  // The runtime gets no normalizer and no pre-tokenizer, see `createNormalizer` and `createPreTokenizer`.
  const rest = { ...json, normalizer: null, pre_tokenizer: null }
  const { vocab, type, merges } = json.model
  const isUnigram = Array.isArray(vocab)
  // Old files have no `type`.
  if (!isUnigram && type !== 'BPE' && !(type === undefined && merges)) {
    const runtime = new HuggingFaceTokenizer(rest, config)
    return { model: createRuntimeModel(runtime), runtime }
  }
  const model = isUnigram
    ? createUnigram(json.model as unknown as UnigramConfig)
    : createBpe(json.model as unknown as BpeConfig)
  const placeholder = { type: 'BPE', vocab: {}, merges: [] }
  return { model, runtime: new HuggingFaceTokenizer({ ...rest, model: placeholder }, config) }
}

function createRuntimeModel({ model }: HuggingFaceTokenizer): TokenModel {
  if (!model) throw new Error('it has no model.')
  const ids = model.tokens_to_ids
  return {
    ids,
    unknownId: model.unk_token_id,
    // oxlint-disable-next-line require-yield -- these models split a word fast
    *encode(word) {
      return model([word]).flatMap((token) => ids.get(token) ?? model.unk_token_id ?? [])
    },
  }
}

function readAddedToken(token: AddedTokenJson, isControl: boolean): AddedToken {
  return {
    id: token.id,
    content: token.content,
    isControl,
    isNormalized: token.normalized ?? !token.special,
    isSingleWord: token.single_word ?? false,
    stripsLeft: token.lstrip ?? false,
    stripsRight: token.rstrip ?? false,
  }
}

/** Finds the ids that the post-processor adds before a text, without those that it adds after the text. */
function readPrefixIds(
  { post_processor: postProcessor }: HuggingFaceTokenizer,
  findId: (token: string) => number | undefined,
): number[] {
  if (!postProcessor) return []
  const text = '\u0000'
  const { tokens } = postProcessor([text], null, true)
  return tokens.slice(0, tokens.indexOf(text)).flatMap((token) => findId(token) ?? [])
}

/** Lists the tokens that `tokenizer_config.json` names as special, in any of the fields that transformers reads. */
function listNamedTexts(config: TokenizerConfig): readonly string[] {
  const names = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => config[`${name}_token`])
  const lists = [config.additional_special_tokens, config.extra_special_tokens].flatMap(listValues)
  const decoder = listValues(config.added_tokens_decoder).filter(
    (token) => (token as { readonly special?: unknown } | null)?.special === true,
  )
  return [...names, ...lists, ...decoder].flatMap((token) => readToken(token) ?? [])
}

/** Returns the values of a list or an object. */
function listValues(value: unknown): readonly unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : []
}
