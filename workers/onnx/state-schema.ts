import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import {
  formatPresentName,
  formatPresentStateName,
  graphInputs,
  isRotaryTableName,
  logitsOutput,
  parsePastName,
  pastNamePattern,
  stateNamePatterns,
} from './graph-names.js'
import type { CacheSizes } from './model-config.js'

/** The states that a decoder passes from step to step, and the number of rows of its position ids. */
export interface StateSchema {
  /** The KV cache, which grows with the sequence. */
  readonly caches: readonly CacheInput[]
  /** The states of fixed size. They are zero at first. Each run replaces them, so they cannot be truncated to a prefix. */
  readonly fixedStates: readonly FixedState[]
  /**
   * The number of rows of `position_ids`, if this input has three dimensions. The rows are time, height and width in an
   * image. For text, all rows are equal.
   */
  readonly positionRows: number | undefined
}

/** A state: an input that gets its value from an output of the previous step. */
interface StateInput {
  /** The name of the input. */
  readonly past: string
  /** The name of the output that is the input of the next step. */
  readonly present: string
  readonly type: 'float32' | 'float16'
}

/** An input of the KV cache. `shapeCache` returns its shape. */
export interface CacheInput extends StateInput {
  /** The number of heads; 1 if the tensor has the keys and the values of all heads. */
  readonly heads: number
  /** The size of one head. */
  readonly headSize: number
}

/** The state of a convolution or of a recurrent layer. */
export interface FixedState extends StateInput {
  /** The shape, with a batch size of one. */
  readonly dims: readonly number[]
}

const bytesPerElement = { float32: 4, float16: 2 } satisfies Record<StateInput['type'], number>

/**
 * Returns the shape of a cache of `length` tokens, with a batch size of one: [batch, heads, length, head size], or
 * [batch, length, size] if the tensor has the keys and the values of all heads (GPT-BigCode).
 */
export function shapeCache({ past, heads, headSize }: CacheInput, length: number): readonly number[] {
  return isPacked(past) ? [1, length, headSize] : [1, heads, length, headSize]
}

function isPacked(past: string): boolean {
  return parsePastName(past)?.part === 'key_value'
}

/** Returns the size of one element, in bytes. */
export function countElementBytes(type: StateInput['type']): number {
  return bytesPerElement[type]
}

/** Returns the size of one token in one head, in bytes. */
export function countTokenBytes({ type, headSize }: CacheInput): number {
  return headSize * bytesPerElement[type]
}

/** Returns the size of a whole cache of `length` tokens, in bytes. */
export function countCacheBytes(inputs: readonly CacheInput[], length: number): number {
  return inputs.reduce((sum, input) => sum + length * input.heads * countTokenBytes(input), 0)
}

/** Returns the size of all states of fixed size, in bytes. */
export function countFixedStateBytes(states: readonly FixedState[]): number {
  return states.reduce((sum, { type, dims }) => sum + countElements(dims) * bytesPerElement[type], 0)
}

/** Returns the sizes of all states after `length` tokens, in bytes: first those of the KV cache. */
export function measureStates(
  { caches, fixedStates }: Pick<StateSchema, 'caches' | 'fixedStates'>,
  length: number,
): readonly number[] {
  return [
    ...caches.map((input) => countCacheBytes([input], length)),
    ...fixedStates.map((state) => countFixedStateBytes([state])),
  ]
}

export function countElements(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1)
}

/** Returns `position_ids` for `length` tokens from `start` on, as the arguments of an int64 tensor. */
export function createPositions(
  positionRows: StateSchema['positionRows'],
  start: number,
  length: number,
): readonly [data: BigInt64Array<ArrayBuffer>, dims: readonly number[]] {
  const rows = positionRows ?? 1
  const data = BigInt64Array.from({ length: rows * length }, (_, index) => BigInt(start + (index % length)))
  return [data, positionRows === undefined ? [1, length] : [rows, 1, length]]
}

const knownInputs = new Set<string>(Object.values(graphInputs))

/** The number of rows if `position_ids` has three dimensions, but does not declare the size of the first one. */
const defaultPositionRows = 3

/**
 * Reads the states of a decoder graph, original or rewritten, whose inputs and outputs have Hugging Face's names.
 * @param sizes the sizes in `config.json`, for a graph that does not declare them: onnxruntime-genai's model builder 0.15.2
 *   and later gives the head size a name (`kv_cache_dim`) instead of a number
 * @throws RivuletError `model-unsupported` if an input is unknown, missing, or of an unsupported type or shape, or if an
 *   output is missing (the message names it); `model-invalid` if `sizes` are needed and contradict the graph
 */
export function readStateSchema(session: InferenceSession, sizes: CacheSizes): StateSchema {
  const { inputNames, outputNames } = session
  const unknown = inputNames.find(
    (name) =>
      !knownInputs.has(name) &&
      !isRotaryTableName(name) &&
      !parsePastName(name) &&
      formatPresentStateName(name) === undefined,
  )
  if (unknown?.startsWith('past'))
    throw unsupported(
      `its state "${unknown}" has an unknown layout. The known names are: ${stateNamePatterns}`,
    )
  if (unknown !== undefined) throw unsupported(`it has the unknown input "${unknown}"`)
  if (!inputNames.includes(graphInputs.tokenIds))
    throw unsupported(`it has no input "${graphInputs.tokenIds}"`)
  const caches = readCacheInputs(session, sizes)
  const fixedStates = readFixedStates(session)
  if (caches.length === 0) throw unsupported(`it has no KV cache (inputs "${pastNamePattern}")`)
  for (const name of [logitsOutput, ...[...caches, ...fixedStates].map(({ present }) => present)]) {
    if (!outputNames.includes(name)) throw unsupported(`it has no output "${name}"`)
  }
  return { caches, fixedStates, positionRows: readPositionRows(session) }
}

/**
 * Reads the inputs of the states of fixed size.
 * @throws RivuletError as `readStateSchema`
 */
export function readFixedStates({ inputMetadata }: InferenceSession): FixedState[] {
  return inputMetadata.flatMap((input) => {
    const present = formatPresentStateName(input.name)
    if (present === undefined) return []
    return [{ past: input.name, present, type: readType(input), dims: readFixedDims(input) }]
  })
}

/**
 * Reads the inputs of the KV cache.
 * @throws RivuletError as `readStateSchema`
 */
export function readCacheInputs({ inputMetadata }: InferenceSession, sizes: CacheSizes): CacheInput[] {
  return inputMetadata.flatMap((input) => {
    const name = parsePastName(input.name)
    if (!name) return []
    const { heads, headSize } = readShape(input, sizes)
    return [{ past: input.name, present: formatPresentName(name), type: readType(input), heads, headSize }]
  })
}

function readType(input: InferenceSession.ValueMetadata): StateInput['type'] {
  const type = input.isTensor ? input.type : undefined
  if (type === 'float32' || type === 'float16') return type
  throw unsupported(`the type of "${input.name}" is ${type}, not float32 or float16`)
}

function readFixedDims(input: InferenceSession.ValueMetadata): readonly number[] {
  const [, ...dims] = input.isTensor ? input.shape : []
  const sizes = dims.filter((size) => typeof size === 'number')
  if (sizes.length === 0 || sizes.length < dims.length || Math.min(...sizes) <= 0)
    throw unsupported(`the graph does not declare the size of the state "${input.name}"`)
  return [1, ...sizes]
}

/** Reads the number of rows of the position ids (`StateSchema`). */
export function readPositionRows({ inputMetadata }: InferenceSession): number | undefined {
  const positions = inputMetadata.find(({ name }) => name === graphInputs.positionIds)
  if (!positions?.isTensor || positions.shape.length !== 3) return undefined
  const [rows] = positions.shape
  return typeof rows === 'number' && rows > 0 ? rows : defaultPositionRows
}

function readShape(input: InferenceSession.ValueMetadata, sizes: CacheSizes) {
  const shape = input.isTensor ? input.shape : []
  if (isPacked(input.name)) return { heads: 1, headSize: readPackedSize(input.name, shape) }
  const [, declaredHeads, , declaredSize] = shape
  if (typeof declaredHeads === 'number' && typeof declaredSize === 'number')
    return { heads: declaredHeads, headSize: declaredSize }
  if (shape.length !== 4)
    throw unsupported(`the shape of "${input.name}" is not [batch, heads, length, head size]`)
  const read = (name: string, declared: unknown, configured: number | undefined) => {
    if (typeof declared !== 'number' && configured === undefined)
      throw unsupported(`neither the graph nor config.json declares the ${name} of "${input.name}"`)
    // If one size differs, config.json belongs to another model. Its value for an undeclared size would then be wrong, too.
    if (typeof declared === 'number' && configured !== undefined && declared !== configured)
      throw new RivuletError(
        'model-invalid',
        `config.json does not match the graph: the ${name} of "${input.name}" is ${declared}, not ${configured}. Use the config.json that was exported with the graph.`,
      )
    return typeof declared === 'number' ? declared : configured!
  }
  return {
    heads: read('number of heads', declaredHeads, sizes.heads),
    headSize: read('head size', declaredSize, sizes.headSize),
  }
}

/** Reads the size of a token in a cache of the shape [batch, length, size]. */
function readPackedSize(name: string, shape: readonly (number | string)[]): number {
  const [, length, size] = shape
  // A length with a number means that the cache grows along another dimension.
  if (shape.length === 3 && typeof length !== 'number' && typeof size === 'number') return size
  throw unsupported(`the shape of "${name}" is not [batch, length, size] with a number as size`)
}

function unsupported(reason: string): RivuletError {
  return new RivuletError(
    'model-unsupported',
    `onnx() cannot generate text with this model: ${reason}. Use a text-generation model from onnx-community.`,
  )
}
