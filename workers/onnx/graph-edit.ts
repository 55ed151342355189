import { create } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/** The attributes of a new node: a bigint becomes an `INT`, a number a `FLOAT`, a list `INTS`. */
type Attributes = Readonly<Record<string, bigint | number | readonly bigint[] | TensorProto>>

export function createNode(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Attributes = {},
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, {
    name: output[0] ?? '',
    opType,
    domain,
    input: [...input],
    output: [...output],
    attribute: Object.entries(attributes).map(([name, value]) => createAttribute(name, value)),
  })
}

function createAttribute(name: string, value: Attributes[string]): AttributeProto {
  const { INT, FLOAT, INTS, TENSOR } = AttributeProto_AttributeType
  if (typeof value === 'bigint') return create(AttributeProtoSchema, { name, i: value, type: INT })
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, f: value, type: FLOAT })
  if ('$typeName' in value) return create(AttributeProtoSchema, { name, t: value, type: TENSOR })
  return create(AttributeProtoSchema, { name, ints: [...value], type: INTS })
}

export function createInt64Tensor(
  name: string,
  values: readonly (bigint | number)[],
  dims: readonly number[] = [values.length],
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: tensorTypes.int64,
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  })
}

/** Adds a constant int64 tensor to the graph, unless it has one with this name. Returns the name. */
export function addInt64(graph: GraphProto, values: readonly (bigint | number)[]): string {
  const name = `rivulet.int64.${values.join('_')}`
  if (!graph.initializer.some((tensor) => tensor.name === name))
    graph.initializer.push(createInt64Tensor(name, values))
  return name
}

/** Inserts nodes before `next`. */
export function insertBefore(graph: GraphProto, next: NodeProto, ...nodes: readonly NodeProto[]): void {
  graph.node.splice(graph.node.indexOf(next), 0, ...nodes)
}

/** The node that computes each tensor. */
export type Producers = ReadonlyMap<string, NodeProto>

export function mapProducers({ node }: GraphProto): Producers {
  return new Map(node.flatMap((each) => each.output.map((name) => [name, each] as const)))
}

/** Removes the nodes that no output of the graph depends on, and then the inputs and weights that no node reads. */
export function removeDeadNodes(graph: GraphProto): void {
  const producers = mapProducers(graph)
  const used = new Set(graph.output.map(({ name }) => name))
  const alive = new Set<NodeProto>()
  // The loop also visits the names that it adds to the set.
  for (const name of used) {
    const node = producers.get(name)
    if (!node || alive.has(node)) continue
    alive.add(node)
    for (const read of listReads(node)) used.add(read)
  }
  graph.node = graph.node.filter((node) => alive.has(node))
  graph.input = graph.input.filter(({ name }) => used.has(name))
  graph.initializer = graph.initializer.filter(({ name }) => used.has(name))
}

/**
 * Lists the names of all tensors that a node reads. A graph inside a node, such as a branch of `If`, can read any tensor of
 * the outer graph.
 */
function listReads({ input, attribute }: NodeProto): string[] {
  const inner = attribute.flatMap(({ g }) => (g ? [g] : []))
  return [
    ...input,
    ...inner.flatMap((graph) => graph.output.map(({ name }) => name)),
    ...inner.flatMap((graph) => graph.node.flatMap(listReads)),
  ]
}
