import { create } from '@bufbuild/protobuf'
import { addInt64, createNode, mapProducers } from './graph-edit.js'
import { graphInputs, parsePastName } from './graph-names.js'
import { readSymbol, readValues, type Probes, type SymbolicSize } from './graph-probes.js'
import type { Value } from './tensor-value.js'
import {
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/** The names of the nodes that compute a length from the inputs, as an int64 tensor with one element. */
const lengthNames = {
  newTokens: 'rivulet.new_tokens',
  pastTokens: 'rivulet.past_tokens',
  totalTokens: 'rivulet.total_tokens',
} as const

/** Larger constants stay as they are. So no new constant is large enough to be taken for a weight inside the file. */
const maxFoldedElements = 128

/**
 * Removes the length of the cache from a decoder graph, so that the cache can be a buffer that is larger than the sequence:
 * - Shapes are constants, or computed from the lengths, instead of the shape of a tensor.
 * - The positions of the new tokens are the input `position_ids`, instead of a range that starts at the length of the cache.
 * - The attention mask, if it is needed, is computed from the total length.
 *
 * Nodes that the replacements make useless stay in the graph.
 */
export function replaceLengths(graph: GraphProto, probes: Probes): void {
  const dependent = new Set([graphInputs.attentionMask as string])
  for (const { name } of graph.input) if (parsePastName(name)) dependent.add(name)
  // A copy, since the replacements change the list.
  for (const node of graph.node.slice()) {
    if (node.input.some((name) => dependent.has(name))) for (const name of node.output) dependent.add(name)
    if (node.opType === 'Constant' || node.output.length !== 1) continue
    const [output = ''] = node.output
    const values = readValues(probes, output)
    const replacement =
      values &&
      (foldConstant(graph, values, output) ??
        (dependent.has(output) ? readPositions(graph, values, output, probes) : undefined) ??
        replaceShape(graph, node, values, probes))
    if (replacement) graph.node.splice(graph.node.indexOf(node), 1, ...replacement)
  }
}

/** Replaces the attention mask, which is 1 for all tokens. */
export function replaceMask(graph: GraphProto): void {
  const isMask = (name: string) => name === graphInputs.attentionMask
  if (!graph.node.some(({ input }) => input.some(isMask))) return
  const [shape, mask] = ['rivulet.mask_shape', 'rivulet.mask']
  for (const node of graph.node) node.input = node.input.map((name) => (isMask(name) ? mask : name))
  const value = create(TensorProtoSchema, {
    dims: [1n],
    dataType: tensorTypes.int64,
    rawData: new Uint8Array(BigInt64Array.of(1n).buffer),
  })
  graph.node.unshift(
    createNode('Concat', [addInt64(graph, [1]), lengthNames.totalTokens], [shape], { axis: 0n }),
    createNode('ConstantOfShape', [shape], [mask], { value }),
  )
  addLengths(graph)
}

/** True if the graph computes something from the total length, other than attention. */
export function dependsOnLength({ node }: GraphProto): boolean {
  return node.some(({ output }) => output.includes(lengthNames.totalTokens))
}

/** Adds the nodes that compute the lengths, unless the graph has them. */
function addLengths(graph: GraphProto): void {
  if (dependsOnLength(graph)) return
  const shape = 'rivulet.token_ids_shape'
  graph.node.unshift(
    createNode('Shape', [graphInputs.tokenIds], [shape]),
    createNode('Gather', [shape, addInt64(graph, [1])], [lengthNames.newTokens], { axis: 0n }),
    createNode('Cast', [graphInputs.totalLength], [lengthNames.totalTokens], {
      to: BigInt(tensorTypes.int64),
    }),
    createNode('Sub', [lengthNames.totalTokens, lengthNames.newTokens], [lengthNames.pastTokens]),
  )
}

/** Returns an empty list if the constant replaces the node. */
function foldConstant(graph: GraphProto, values: readonly Value[], name: string): NodeProto[] | undefined {
  const [first] = values
  const count = first?.dims.reduce((product, size) => product * size, 1) ?? 0
  if (!first || count > maxFoldedElements || values.some(({ dims }) => dims.join() !== first.dims.join()))
    return undefined
  const elements = first.read()
  const isConstant =
    elements &&
    values.every((value) => {
      const others = value.read()
      return others && Array.from(elements).every((element, index) => Object.is(element, others[index]))
    })
  const rawData = isConstant && encodeElements(first.type, elements)
  if (!rawData) return undefined
  graph.initializer.push(createTensor(name, first, rawData))
  return []
}

function createTensor(name: string, { type, dims }: Value, rawData: Uint8Array): TensorProto {
  return create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: type, rawData })
}

/** Returns undefined for other types, and for integers that a number cannot hold. */
function encodeElements(type: number, elements: ArrayLike<number>): Uint8Array | undefined {
  if (type !== tensorTypes.float32 && !Array.from(elements).every(Number.isSafeInteger)) return undefined
  switch (type) {
    case tensorTypes.int64:
      return new Uint8Array(BigInt64Array.from(Array.from(elements), BigInt).buffer)
    case tensorTypes.int32:
      return new Uint8Array(Int32Array.from(elements).buffer)
    case tensorTypes.float32:
      return new Uint8Array(Float32Array.from(elements).buffer)
    case tensorTypes.bool:
      return Uint8Array.from(elements)
    default:
      return undefined
  }
}

/** Returns the nodes that read the positions from the input, if the tensor has the positions of the new tokens plus a number. */
function readPositions(
  graph: GraphProto,
  values: readonly Value[],
  name: string,
  { all }: Probes,
): NodeProto[] | undefined {
  const first = values[0]?.read()?.[0]
  const shift = first === undefined ? NaN : first - (all[0]?.pastTokens ?? 0)
  const arePositions = values.every((value, index) => {
    const { newTokens, pastTokens } = all[index]!
    const count = value.dims.reduce((product, size) => product * size, 1)
    const elements = value.type === tensorTypes.int64 && count === newTokens ? value.read() : undefined
    return (
      elements &&
      value.dims.filter((size) => size !== 1).length <= 1 &&
      Array.from(elements).every((element, place) => element === pastTokens + place + shift)
    )
  })
  if (!arePositions || !Number.isSafeInteger(shift)) return undefined
  // In the first probe, there are several new tokens.
  const shape = addInt64(
    graph,
    values[0]!.dims.map((size) => (size === 1 ? 1 : -1)),
  )
  addPositionInput(graph)
  if (shift === 0) return [createNode('Reshape', [graphInputs.positionIds, shape], [name])]
  const positions = `${name}.positions`
  return [
    createNode('Reshape', [graphInputs.positionIds, shape], [positions]),
    createNode('Add', [positions, addInt64(graph, [shift])], [name]),
  ]
}

/** Adds the input `position_ids`, unless the graph has it. */
export function addPositionInput(graph: GraphProto): void {
  if (graph.input.some(({ name }) => name === graphInputs.positionIds)) return
  const dim = [
    { value: { case: 'dimValue' as const, value: 1n } },
    { value: { case: 'dimParam' as const, value: 'new_tokens' } },
  ]
  graph.input.push(
    create(ValueInfoProtoSchema, {
      name: graphInputs.positionIds,
      type: { value: { case: 'tensorType', value: { elemType: tensorTypes.int64, shape: { dim } } } },
    }),
  )
}

/** Returns the nodes for a shape that does not depend on the shape of a tensor. */
function replaceShape(
  graph: GraphProto,
  node: NodeProto,
  values: readonly Value[],
  probes: Probes,
): NodeProto[] | undefined {
  const [output = ''] = node.output
  if (node.opType === 'Shape') {
    const dims = values.map((value) => Array.from(value.read() ?? []))
    return createShape(graph, dims, probes, output)
  }
  const dims = values.map((value) => value.dims)
  const symbols = readSymbols(dims, probes)
  if (node.opType === 'Reshape' && symbols) {
    const lengths = symbols.filter((symbol) => typeof symbol !== 'number')
    if (lengths.length > 1) return undefined
    const target = symbols.map((symbol) => (typeof symbol === 'number' ? symbol : -1))
    node.input[1] = addInt64(graph, target)
  }
  if (node.opType === 'Expand') {
    const before = readValues(probes, node.input[0] ?? '')
    const isSame = before?.every((value, index) => value.dims.join() === dims[index]!.join())
    if (isSame) return [createNode('Identity', node.input.slice(0, 1), node.output)]
  }
  return undefined
}

function readSymbols(dims: readonly (readonly number[])[], probes: Probes): SymbolicSize[] | undefined {
  const symbols = (dims[0] ?? []).map((_, axis) => readSymbol(probes, (_probe, index) => dims[index]?.[axis]))
  const known = symbols.flatMap((symbol) => symbol ?? [])
  return known.length === symbols.length ? known : undefined
}

/** Creates the node that computes a shape from the lengths. @param dims the shape in each probe */
function createShape(
  graph: GraphProto,
  dims: readonly (readonly number[])[],
  probes: Probes,
  output: string,
): NodeProto[] | undefined {
  const symbols = readSymbols(dims, probes)
  if (!symbols || symbols.length === 0) return undefined
  const parts = symbols.map((symbol) =>
    typeof symbol === 'number' ? addInt64(graph, [symbol]) : lengthNames[symbol],
  )
  if (symbols.some((symbol) => typeof symbol !== 'number')) addLengths(graph)
  return [createNode('Concat', parts, [output], { axis: 0n })]
}

/** Adds a tensor with a shape. Returns its name, or undefined if the shape does not depend on the lengths alone. */
export function addShape(
  graph: GraphProto,
  dims: readonly (readonly number[])[],
  probes: Probes,
): string | undefined {
  const symbols = readSymbols(dims, probes)
  if (!symbols) return undefined
  const name = `rivulet.shape.${symbols.join('_')}`
  if (mapProducers(graph).has(name)) return name
  const nodes = createShape(graph, dims, probes, name)
  if (!nodes) return undefined
  const lengths = graph.node.findIndex(({ output }) => output.includes(lengthNames.pastTokens))
  graph.node.splice(lengths + 1, 0, ...nodes)
  return name
}
