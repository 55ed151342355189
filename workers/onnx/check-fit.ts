import { createMemoryError } from '../memory-exceeded.js'
import { formatPresentStateName, logitsOutput, parsePastName } from './graph-names.js'
import type { CacheSizes } from './model-config.js'
import {
  TensorProto_DataLocation,
  type ModelProto,
  type TensorProto,
  type TensorShapeProto_Dimension,
  type ValueInfoProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/** The memory that a model may use, in bytes; `Infinity` if there is no limit. */
export interface MemoryLimits {
  /** The limit for one tensor: the `maxBufferSize` of the adapter. */
  readonly maxTensorBytes: number
  /** The limit for the weights and the KV cache together. */
  readonly maxModelBytes: number
  /** Names the source of `maxModelBytes` in the error message. */
  readonly limitedBy: string
}

/** Maps the element type of a state, or of logits, to the size of one element, in bytes. */
const stateElementBytes = new Map<number, number>([
  [tensorTypes.float32, 4],
  [tensorTypes.float16, 2],
])

/**
 * Throws if the weights and the states of a model do not fit into memory. Call this function before the external weights are downloaded.
 * @param cacheTokens the initial capacity of the KV cache
 * @param sizes the sizes of the KV cache, used where the graph does not declare them
 * @param conversations the number of conversations whose steps may be computed together
 * @throws RivuletError `memory-exceeded`
 */
export function checkFit(
  { graph }: ModelProto,
  cacheTokens: number,
  limits: MemoryLimits,
  sizes: CacheSizes,
  conversations = 1,
): void {
  const tensors = (graph?.initializer ?? []).map((tensor) => ({
    label: `The weight "${tensor.name}"`,
    bytes: countTensorBytes(tensor),
  }))
  const states = (graph?.input ?? []).map((input) => ({
    label: `The ${parsePastName(input.name) ? 'KV cache' : 'state'} "${input.name}"`,
    bytes: countStateBytes(input, cacheTokens, sizes),
  }))
  const logits = (graph?.output ?? [])
    .filter(({ name }) => name === logitsOutput)
    .map((output) => ({ label: 'The logits', bytes: conversations * countLogitsBytes(output) }))
  const all = [...tensors, ...states, ...logits]
  const largest = all.reduce((most, each) => (each.bytes > most.bytes ? each : most), { label: '', bytes: 0 })
  if (largest.bytes > limits.maxTensorBytes) {
    throw createMemoryError(
      largest.label,
      largest.bytes,
      limits.maxTensorBytes,
      'a buffer of this graphics adapter',
    )
  }
  const modelBytes = all.reduce((sum, { bytes }) => sum + bytes, 0)
  if (modelBytes > limits.maxModelBytes) {
    throw createMemoryError(
      `The model, with a KV cache of ${cacheTokens} tokens,`,
      modelBytes,
      limits.maxModelBytes,
      limits.limitedBy,
    )
  }
}

/** Returns the size of a weight, in the graph's file or in an external file. */
export function countTensorBytes({ dataLocation, externalData, rawData }: TensorProto): number {
  if (dataLocation !== TensorProto_DataLocation.EXTERNAL) return rawData.byteLength
  const length = Number(externalData.find(({ key }) => key === 'length')?.value ?? 0)
  return length > 0 ? length : 0
}

/** Returns the size of a state in bytes; 0 for an input that is not a state. */
function countStateBytes({ name, type }: ValueInfoProto, cacheTokens: number, sizes: CacheSizes): number {
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
  const elementBytes = stateElementBytes.get(tensor?.elemType ?? 0) ?? 0
  const [, ...dims] = tensor?.shape?.dim.map(readSize) ?? []
  if (formatPresentStateName(name) !== undefined)
    return elementBytes * dims.reduce((product, size) => product * size, 1)
  if (!parsePastName(name)) return 0
  // A cache of keys and values in one tensor has no dimension for the heads.
  if (dims.length === 2) return elementBytes * cacheTokens * (dims[1] ?? 0)
  const [heads, , headSize] = dims
  return elementBytes * cacheTokens * (heads || sizes.heads || 0) * (headSize || sizes.headSize || 0)
}

/** Returns the size of the logits of one token in bytes; 0 if the graph does not declare it. */
function countLogitsBytes({ type }: ValueInfoProto): number {
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
  const vocabulary = tensor?.shape?.dim.at(-1)
  return (stateElementBytes.get(tensor?.elemType ?? 0) ?? 0) * (vocabulary ? readSize(vocabulary) : 0)
}

/** Returns the size of a dimension, or 0 if the graph does not declare it. */
function readSize({ value }: TensorShapeProto_Dimension): number {
  return value.case === 'dimValue' ? Math.max(0, Number(value.value)) : 0
}
