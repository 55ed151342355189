import { createMemoryError } from '../memory-exceeded.js'
import { parsePastName } from './graph-names.js'
import type { CacheSizes } from './model-config.js'
import { TensorProto_DataLocation, type ModelProto, type TensorProto } from './onnx_pb.js'
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

/** Maps the element type of a KV cache to the size of one element, in bytes. */
const cacheElementBytes = new Map<number, number>([
  [tensorTypes.float32, 4],
  [tensorTypes.float16, 2],
])

/**
 * Throws if a model does not fit into memory. Call this function before the external weights are downloaded.
 * @param cacheTokens the initial capacity of the KV cache
 * @param sizes the sizes of the KV cache, used where the graph does not declare them
 * @throws RivuletError `memory-exceeded`
 */
export function checkFit(
  { graph }: ModelProto,
  cacheTokens: number,
  limits: MemoryLimits,
  sizes: CacheSizes,
): void {
  const tensors = (graph?.initializer ?? []).map((tensor) => ({
    label: `The weight "${tensor.name}"`,
    bytes: countTensorBytes(tensor),
  }))
  const caches = (graph?.input ?? []).map(({ name, type }) => {
    const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
    const [, heads, , headSize] = tensor?.shape?.dim.map(({ value }) => Number(value.value ?? 0)) ?? []
    const tokenSize = (heads || sizes.heads || 0) * (headSize || sizes.headSize || 0)
    const elementBytes = parsePastName(name) ? cacheElementBytes.get(tensor?.elemType ?? 0) : 0
    return {
      label: `The KV cache "${name}"`,
      bytes: cacheTokens * tokenSize * (elementBytes ?? 0),
    }
  })
  const all = [...tensors, ...caches]
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
