import { computeNode } from './graph-values.js'
import type { GraphProto, NodeProto } from './onnx_pb.js'
import { createTensorValue, type Value } from './tensor-value.js'

/** The operators that compute each conversation by itself, whatever their attributes are. */
const rowOperators = new Set([
  'MatMulNBits',
  'GatherBlockQuantized',
  'GroupQueryAttention',
  'Cast',
  'Identity',
  'SimplifiedLayerNormalization',
  'SkipSimplifiedLayerNormalization',
  'LayerNormalization',
  'SkipLayerNormalization',
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Sigmoid',
  'Tanh',
  'Erf',
  'Gelu',
  'FastGelu',
  'QuickGelu',
  'Relu',
])

/** True if a node keeps the first dimension, that of the conversations. */
type KeepsRows = (
  node: NodeProto,
  constants: ReadonlyMap<string, Value>,
  isRow: (name: string) => boolean,
) => boolean

/**
 * True if an axis is not the first one. Values of conversations have two dimensions or more: a `Reshape` to one is not accepted.
 * So the last axis is not the first one, but an earlier axis that is counted from the end can be it.
 */
const isLaterAxis = (axis: number | bigint | undefined) =>
  axis !== undefined && (axis > 0 || Number(axis) === -1)

/** The operators that compute each conversation by itself in the forms that exporters use. */
const checkedOperators = new Map<string, KeepsRows>([
  ['Gather', ({ input, attribute }, _, isRow) => !isRow(input[0]!) && (findAxis(attribute) ?? 0n) === 0n],
  ['MatMul', ({ input }, _, isRow) => !isRow(input[1]!)],
  ['Transpose', ({ attribute }) => attribute.some(({ name, ints }) => name === 'perm' && ints[0] === 0n)],
  ['Split', ({ attribute }) => isLaterAxis(findAxis(attribute))],
  [
    'Reshape',
    ({ input }, constants) => {
      const [first, ...others] = Array.from(constants.get(input[1] ?? '')?.read() ?? [])
      return others.length > 0 && (first === 0 || first === -1)
    },
  ],
  [
    'Slice',
    ({ input }, constants) => {
      const axes = Array.from(constants.get(input[3] ?? '')?.read() ?? [])
      return axes.length > 0 && axes.every(isLaterAxis)
    },
  ],
])

function findAxis(attributes: NodeProto['attribute']): bigint | undefined {
  return attributes.find(({ name }) => name === 'axis')?.i
}

/**
 * True if a rewritten graph computes several conversations in one run as each of them alone. Other graphs may have been exported
 * for one conversation only: such a run would fail, and ONNX Runtime 1.30.0 cannot run anything after a failed run on WebGPU.
 */
export function isBatchable(graph: GraphProto): boolean {
  const constants = new Map<string, Value>()
  for (const tensor of graph.initializer) constants.set(tensor.name, createTensorValue(tensor))
  const rows = new Set(graph.input.map(({ name }) => name).filter((name) => !constants.has(name)))
  const isRow = (name: string) => rows.has(name)
  for (const node of graph.node) {
    // The graph of a branch reads values that are not inputs of the node.
    if (node.attribute.some(({ g }) => g !== undefined)) return false
    if (!node.input.some(isRow)) {
      const [value] = node.opType === 'Constant' ? computeNode(node, new Map()) : []
      if (value) constants.set(node.output[0]!, value)
      continue
    }
    const keepsRows = checkedOperators.get(node.opType)?.(node, constants, isRow)
    if (!(keepsRows ?? rowOperators.has(node.opType))) return false
    for (const name of node.output) rows.add(name)
  }
  return true
}
