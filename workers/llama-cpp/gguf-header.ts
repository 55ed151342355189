import { RivuletError } from '../../lib/contract/errors.js'
import type { NamedTemplates } from '../text/find-chat-template.js'
import { measureCache, type CacheSize } from './cache-size.js'

/** The metadata that is read from a GGUF file before it is loaded. */
export interface GgufHeader {
  readonly architecture: string
  /** The longest context of the model, in tokens; undefined if the file does not contain it. */
  readonly contextLength: number | undefined
  readonly cacheSize: CacheSize
  /** The chat templates by name: the one for conversations is named `default`. */
  readonly chatTemplates: NamedTemplates
  /** Tokens that control the model. User text must never become such a token. */
  readonly controlTokens: readonly string[]
  /** The ids of `controlTokens`, by their text. */
  readonly controlTokenIds: ReadonlyMap<string, number>
  /** User-defined tokens: chat markers, but also text such as `<b>` and runs of white space. */
  readonly userTokens: readonly string[]
  readonly beginToken: string | undefined
  readonly endToken: string | undefined
  /** True if the tokenizer adds `beginToken` before every prompt. */
  readonly addsBeginToken: boolean
}

type Scalar = string | number | boolean

/** The position of an array; its items are read on demand. */
interface ArrayPlace {
  readonly type: number
  readonly count: number
  readonly offset: number
}

/** The most bytes that are read as a header: enough for any vocabulary. */
const maxHeaderBytes = 2 ** 28
const firstReadBytes = 2 ** 20

/**
 * Reads the metadata at the start of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 * @throws RivuletError `model-invalid`, `model-unsupported`
 */
export async function readGgufHeader(file: Blob): Promise<GgufHeader> {
  for (let bytes = firstReadBytes; ; bytes *= 4) {
    const length = Math.min(bytes, file.size, maxHeaderBytes)
    const view = new DataView(await file.slice(0, length).arrayBuffer())
    try {
      return describeModel(view, readMetadata(view))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      if (length < Math.min(file.size, maxHeaderBytes)) continue
      refuse('its metadata is incomplete.')
    }
  }
}

/** Types of metadata values, numbered as in the format. */
const types = { uint8: 0, int8: 1, uint16: 2, int16: 3, uint32: 4, int32: 5, float32: 6, bool: 7 } as const
const wideTypes = { string: 8, array: 9, uint64: 10, int64: 11, float64: 12 } as const
const sizes: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8]
/** The token types of unknown tokens (2) and control tokens (3), numbered as in llama.cpp. */
const controlTypes = new Set([2, 3])
/** The token type of user-defined tokens. */
const userDefinedType = 4

/** Reads the metadata by key. @throws RangeError if `view` ends too early */
function readMetadata(view: DataView): ReadonlyMap<string, Scalar | ArrayPlace> {
  if (view.getUint32(0, true) !== 0x46554747) refuse('it does not start with "GGUF".')
  const version = view.getUint32(4, true)
  if (version !== 2 && version !== 3) {
    throw new RivuletError(
      'model-unsupported',
      `This GGUF file has version ${version}, but only versions 2 and 3 are supported. Convert it again with a current llama.cpp.`,
    )
  }
  const reader = createReader(view, 8)
  reader.readCount()
  const count = reader.readCount()
  const metadata = new Map<string, Scalar | ArrayPlace>()
  for (let index = 0; index < count; index += 1) {
    const key = reader.readString()
    metadata.set(key, reader.readValue(reader.readType()))
  }
  return metadata
}

function createReader(view: DataView, start: number) {
  let offset = start
  const decoder = new TextDecoder()

  function advance(bytes: number): number {
    const from = offset
    // Negated, so that NaN and Infinity also count as beyond the end.
    if (!(from + bytes <= view.byteLength)) throw new RangeError('The metadata is incomplete.')
    offset += bytes
    return from
  }

  /** Reads a count. A count that is too large for an exact double is beyond the end of any file. */
  const readCount = () => Number(view.getBigUint64(advance(8), true))
  const readType = () => view.getUint32(advance(4), true)

  function readString(): string {
    const length = readCount()
    const from = advance(length)
    return decoder.decode(new Uint8Array(view.buffer, view.byteOffset + from, length))
  }

  function skip(type: number): void {
    if (type === wideTypes.string) advance(readCount())
    else if (type === wideTypes.array) readArray()
    else advance(sizes[type] ?? refuse(`it contains a value of the unknown type ${type}.`))
  }

  function readArray(): ArrayPlace {
    const type = readType()
    const count = readCount()
    const place = { type, count, offset }
    const size = sizes[type]
    if (size !== undefined) advance(size * count)
    else for (let index = 0; index < count; index += 1) skip(type)
    return place
  }

  function readValue(type: number): Scalar | ArrayPlace {
    if (type === wideTypes.string) return readString()
    if (type === wideTypes.array) return readArray()
    const from = advance(sizes[type] ?? refuse(`it contains a value of the unknown type ${type}.`))
    return readNumber(view, type, from)
  }

  return { readCount, readType, readString, readValue, skip }
}

function readNumber(view: DataView, type: number, offset: number): number | boolean {
  switch (type) {
    case types.uint8:
      return view.getUint8(offset)
    case types.int8:
      return view.getInt8(offset)
    case types.uint16:
      return view.getUint16(offset, true)
    case types.int16:
      return view.getInt16(offset, true)
    case types.uint32:
      return view.getUint32(offset, true)
    case types.int32:
      return view.getInt32(offset, true)
    case types.float32:
      return view.getFloat32(offset, true)
    case types.bool:
      return view.getUint8(offset) !== 0
    case wideTypes.uint64:
      return Number(view.getBigUint64(offset, true))
    case wideTypes.int64:
      return Number(view.getBigInt64(offset, true))
    default:
      return view.getFloat64(offset, true)
  }
}

function describeModel(view: DataView, metadata: ReadonlyMap<string, Scalar | ArrayPlace>): GgufHeader {
  const readText = (key: string) => {
    const value = metadata.get(key)
    return typeof value === 'string' ? value : undefined
  }
  const readNumberOf = (key: string) => {
    const value = metadata.get(key)
    return typeof value === 'number' && value >= 0 ? value : undefined
  }
  const architecture = readText('general.architecture') ?? refuse('its metadata contains no architecture.')
  const tokenizer = readText('tokenizer.ggml.model')
  const { control, user, named } = readVocabulary(view, metadata, [
    readTokenId(metadata, 'bos', tokenizer),
    readTokenId(metadata, 'eos', tokenizer),
  ])
  return {
    architecture,
    contextLength: readNumberOf(`${architecture}.context_length`),
    cacheSize: measureCache(architecture, (name) => {
      const value = metadata.get(`${architecture}.${name}`)
      if (typeof value === 'object') return readNumbers(view, value)
      return readNumberOf(`${architecture}.${name}`)
    }),
    chatTemplates: findTemplates(metadata),
    controlTokens: [...control.keys()],
    controlTokenIds: control,
    userTokens: user,
    beginToken: named[0],
    endToken: named[1],
    addsBeginToken: readAddsBegin(metadata, tokenizer, readText('tokenizer.ggml.pre')),
  }
}

/** Finds `tokenizer.chat_template`, and the templates with other names: `tokenizer.chat_template.tool_use`. */
function findTemplates(metadata: ReadonlyMap<string, Scalar | ArrayPlace>): NamedTemplates {
  const prefix = 'tokenizer.chat_template'
  const templates = new Map<string, string>()
  for (const [key, value] of metadata) {
    if (typeof value !== 'string' || !(key === prefix || key.startsWith(`${prefix}.`))) continue
    templates.set(key === prefix ? 'default' : key.slice(prefix.length + 1), value)
  }
  return templates
}

/**
 * The tokens that llama.cpp assumes if the file names none: `tokenizer.ggml.bos_token_id` and `eos_token_id` by the type of
 * the tokenizer (`llama_vocab::impl::load`).
 */
const defaultTokenIds: Readonly<Record<string, { readonly bos?: number; readonly eos?: number }>> = {
  llama: { bos: 1, eos: 2 },
  gpt2: { bos: 11, eos: 11 },
  t5: { eos: 1 },
  plamo2: { bos: 1, eos: 2 },
}

function readTokenId(
  metadata: ReadonlyMap<string, Scalar | ArrayPlace>,
  name: 'bos' | 'eos',
  tokenizer: string | undefined,
): number | undefined {
  const id = metadata.get(`tokenizer.ggml.${name}_token_id`)
  if (typeof id === 'number') return id
  return tokenizer !== undefined && Object.hasOwn(defaultTokenIds, tokenizer)
    ? defaultTokenIds[tokenizer]![name]
    : undefined
}

/** The byte-pair tokenizers that add their begin token by default, by `tokenizer.ggml.pre`. */
const beginningPreTokenizers: ReadonlySet<string | undefined> = new Set([
  'llama3',
  'llama-v3',
  'llama-bpe',
  'falcon3',
  'falcon-h1',
  'pixtral',
  'midm-2.0',
  'lfm2',
  'jina-v5-nano',
  'tekken',
  'chameleon',
])

/** True if llama.cpp adds the begin token: as the file says, or by the defaults of `llama_vocab::impl::load`. */
function readAddsBegin(
  metadata: ReadonlyMap<string, Scalar | ArrayPlace>,
  tokenizer: string | undefined,
  preTokenizer: string | undefined,
): boolean {
  // llama.cpp overrides the file here, because published ones are wrong.
  if (tokenizer === 'gemma4' || preTokenizer === 'gemma4') return true
  const declared = metadata.get('tokenizer.ggml.add_bos_token')
  if (typeof declared === 'boolean') return declared
  if (tokenizer === 'gpt2') return beginningPreTokenizers.has(preTokenizer)
  return tokenizer === 'llama' || tokenizer === 'bert'
}

/** Reads an array of numbers or booleans; `true` is 1. An array of other values is empty. */
function readNumbers(view: DataView, { type, count, offset }: ArrayPlace): readonly number[] {
  const size = sizes[type]
  if (size === undefined) return []
  return Array.from({ length: count }, (_, index) => Number(readNumber(view, type, offset + size * index)))
}

/** The texts of the tokens that control the model, of user-defined tokens, and of the tokens with the ids `namedIds`. */
interface Vocabulary {
  /** With their ids. */
  readonly control: ReadonlyMap<string, number>
  readonly user: readonly string[]
  readonly named: readonly (string | undefined)[]
}

function readVocabulary(
  view: DataView,
  metadata: ReadonlyMap<string, Scalar | ArrayPlace>,
  namedIds: readonly (number | undefined)[],
): Vocabulary {
  const tokens = metadata.get('tokenizer.ggml.tokens')
  const tokenTypes = metadata.get('tokenizer.ggml.token_type')
  if (typeof tokens !== 'object') return { control: new Map(), user: [], named: [] }
  const hasTypes = typeof tokenTypes === 'object'
  if (tokens.type !== wideTypes.string || (hasTypes && sizes[tokenTypes.type] !== 4))
    refuse('its vocabulary is not a list of strings.')
  const reader = createReader(view, tokens.offset)
  const control = new Map<string, number>()
  const user: string[] = []
  const named = namedIds.map((): string | undefined => undefined)
  for (let id = 0; id < tokens.count; id += 1) {
    const type =
      hasTypes && id < tokenTypes.count ? view.getInt32(tokenTypes.offset + 4 * id, true) : undefined
    const isControl = type !== undefined && controlTypes.has(type)
    if (!isControl && type !== userDefinedType && !namedIds.includes(id)) {
      reader.skip(wideTypes.string)
      continue
    }
    const token = reader.readString()
    if (token === '') continue
    if (isControl) control.set(token, id)
    else if (type === userDefinedType) user.push(token)
    for (const [index, namedId] of namedIds.entries()) if (namedId === id) named[index] = token
  }
  return { control, user, named }
}

function refuse(why: string): never {
  throw new RivuletError(
    'model-invalid',
    `This file is not a valid GGUF file: ${why} Check the URL, or download the file again.`,
  )
}
