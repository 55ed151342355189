import { formatPresentStateName, graphInputs, parsePastName } from './graph-names.js'
import { operators } from './graph-operators.js'
import type { CacheSizes } from './model-config.js'
import type { GraphProto, NodeProto, ValueInfoProto } from './onnx_pb.js'
import { createTensorValue, createValue, UnknownValue, type Value } from './tensor-value.js'

/** The lengths of one run. */
export interface RunLengths {
  readonly newTokens: number
  readonly pastTokens: number
}

/** The tensors of a graph by name. */
export type Values = Pick<ReadonlyMap<string, Value>, 'get'>

/**
 * Computes the shape of each tensor of a decoder graph for a run with `lengths`, and the elements of the tensors that depend
 * only on these lengths: shapes, positions and attention masks. So a rewrite can check what the nodes of an exporter compute,
 * instead of how they compute it.
 *
 * A tensor is missing in the result if an operator before it is not known here.
 */
export function computeValues(graph: GraphProto, lengths: RunLengths, sizes: CacheSizes): Values {
  const values = new Map<string, Value>()
  for (const input of graph.input) {
    const value = createInput(input, lengths, sizes)
    if (value) values.set(input.name, value)
  }
  for (const tensor of graph.initializer) values.set(tensor.name, createTensorValue(tensor))
  for (const node of graph.node) {
    for (const [index, value] of computeNode(node, values).entries()) {
      const name = node.output[index]
      if (name) values.set(name, value)
    }
  }
  return values
}

/** Computes the outputs of a node. The result is empty if they are unknown. */
export function computeNode(node: NodeProto, values: Values): readonly Value[] {
  const compute = operators.get(node.opType)
  if (!compute) return []
  const inputs = node.input.map((name) => values.get(name))
  // An input without a name is an optional input that the node leaves out.
  if (node.input.some((name, index) => name !== '' && !inputs[index])) return []
  try {
    const result = compute(inputs, node)
    return result === undefined ? [] : 'dims' in result ? [result] : result
  } catch (error) {
    if (error instanceof UnknownValue) return []
    throw error
  }
}

function createInput(
  { name, type }: ValueInfoProto,
  { newTokens, pastTokens }: RunLengths,
  sizes: CacheSizes,
): Value | undefined {
  const total = pastTokens + newTokens
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
  const elementType = tensor?.elemType ?? 0
  const declared = tensor?.shape?.dim.map(({ value }) =>
    value.case === 'dimValue' ? Number(value.value) : undefined,
  )
  const positions = Float64Array.from({ length: newTokens }, (_, index) => pastTokens + index)
  if (name === graphInputs.tokenIds) return createValue(elementType, [1, newTokens])
  if (name === graphInputs.attentionMask)
    return createValue(elementType, [1, total], () => new Float64Array(total).fill(1))
  if (name === graphInputs.positionIds && declared?.length !== 3)
    return createValue(elementType, [1, newTokens], () => positions)
  if (name === graphInputs.logitsToKeep) return createValue(elementType, [], () => [1])
  if (name === graphInputs.totalLength) return createValue(elementType, [1], () => [total])
  if (name === graphInputs.lastIndex) return createValue(elementType, [1, 1], () => [total - 1])
  if (parsePastName(name)) {
    const [heads, headSize] = [declared?.[1] ?? sizes.heads, declared?.[3] ?? sizes.headSize]
    if (declared?.length !== 4 || heads === undefined || headSize === undefined) return undefined
    return createValue(elementType, [1, heads, pastTokens, headSize])
  }
  if (formatPresentStateName(name) !== undefined) {
    const dims = declared?.slice(1).flatMap((size) => size ?? []) ?? []
    if (dims.length + 1 === declared?.length) return createValue(elementType, [1, ...dims])
  }
  return undefined
}
