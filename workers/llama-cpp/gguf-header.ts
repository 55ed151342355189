import { RivuletError } from '../../lib/contract/errors.js'
import type { NamedTemplates } from '../text/find-chat-template.js'

/** The metadata that is read from a GGUF file before it is loaded. */
export interface GgufHeader {
  readonly architecture: string
  /** The longest context of the model, in tokens; undefined if the file does not contain it. */
  readonly contextLength: number | undefined
  /** The bytes of one token in the KV cache, with 16-bit values; 0 if the file does not contain the dimensions. */
  readonly cacheBytesPerToken: number
  /** The chat templates by name: the one for conversations is named `default`. */
  readonly chatTemplates: NamedTemplates
  /** Tokens that control the model. User text must never become such a token. */
  readonly controlTokens: readonly string[]
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
/** The token type of user-defined tokens, which are chat markers, but also runs of white space. */
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
  const vocabulary = readVocabulary(view, metadata)
  const readToken = (key: string) => {
    const id = readNumberOf(key)
    return id === undefined ? undefined : vocabulary.get(id)
  }
  return {
    architecture,
    contextLength: readNumberOf(`${architecture}.context_length`),
    cacheBytesPerToken: measureCache((name) => readNumberOf(`${architecture}.${name}`)),
    chatTemplates: findTemplates(metadata),
    controlTokens: [...vocabulary.values()].filter((token) => token !== ''),
    beginToken: readToken('tokenizer.ggml.bos_token_id'),
    endToken: readToken('tokenizer.ggml.eos_token_id'),
    addsBeginToken: metadata.get('tokenizer.ggml.add_bos_token') === true,
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

/** Returns how many bytes one token's keys and values take in all layers, with 16-bit values. */
function measureCache(read: (name: string) => number | undefined): number {
  const layers = read('block_count') ?? 0
  const heads = read('attention.head_count') ?? 0
  const cacheHeads = read('attention.head_count_kv') ?? heads
  const headSize = heads === 0 ? 0 : (read('embedding_length') ?? 0) / heads
  const keySize = read('attention.key_length') ?? headSize
  const valueSize = read('attention.value_length') ?? headSize
  return layers * cacheHeads * (keySize + valueSize) * 2
}

/** Reads the tokens that control the model. @returns these tokens by id */
function readVocabulary(
  view: DataView,
  metadata: ReadonlyMap<string, Scalar | ArrayPlace>,
): ReadonlyMap<number, string> {
  const tokens = metadata.get('tokenizer.ggml.tokens')
  const tokenTypes = metadata.get('tokenizer.ggml.token_type')
  const control = new Map<number, string>()
  if (typeof tokens !== 'object' || typeof tokenTypes !== 'object') return control
  if (tokens.type !== wideTypes.string || sizes[tokenTypes.type] !== 4)
    refuse('its vocabulary is not a list of strings.')
  const reader = createReader(view, tokens.offset)
  for (let id = 0; id < Math.min(tokens.count, tokenTypes.count); id += 1) {
    const type = view.getInt32(tokenTypes.offset + 4 * id, true)
    if (controlTypes.has(type)) control.set(id, reader.readString())
    else if (type === userDefinedType) {
      const token = reader.readString()
      if (token.trim() !== '') control.set(id, token)
    } else reader.skip(wideTypes.string)
  }
  return control
}

function refuse(why: string): never {
  throw new RivuletError(
    'model-invalid',
    `This file is not a valid GGUF file: ${why} Check the URL, or download the file again.`,
  )
}
