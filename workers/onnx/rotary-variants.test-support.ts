import { create } from '@bufbuild/protobuf'
import { createInt64Tensor, createNode, insertBefore } from './graph-edit.js'
import { graphInputs } from './graph-names.js'
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType,
  GraphProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/* Other ways to rotate queries and keys, for the embedded model: its attention has tables of rotary factors for 512 positions. */

const tableNames = ['cos_cache', 'sin_cache'] as const
const headSize = 32

function findTable({ initializer }: GraphProto, name: string): TensorProto {
  return initializer.find((tensor) => tensor.name === name)!
}

/** Uses other factors if the sequence has more than `limit` tokens, as longrope does: the sines of half the angles. */
export function addRotarySwitch(graph: GraphProto, limit: number): void {
  const [cos, sin] = tableNames.map((name) => findTable(graph, name))
  const angles = readFloats(sin!).map(Math.asin)
  const long = [angles.map((angle) => Math.cos(angle / 2)), angles.map((angle) => Math.sin(angle / 2))]
  const tables = [cos!, sin!].map((tensor, index) => ({
    short: tensor,
    long: create(TensorProtoSchema, { ...tensor, rawData: new Uint8Array(long[index]!.buffer) }),
  }))
  const createBranch = (kind: 'short' | 'long') =>
    create(GraphProtoSchema, {
      name: kind,
      node: tables.map((table, index) =>
        createNode('Constant', [], [`${kind}.${index}`], {
          value: create(TensorProtoSchema, { ...table[kind], name: '' }),
        }),
      ),
      output: [0, 1].map((index) => ({ name: `${kind}.${index}`, type: createType(cos!.dims) })),
    })
  graph.initializer = graph.initializer.filter(({ name }) => !tableNames.some((table) => table === name))
  graph.initializer.push(
    createInt64Tensor('switch.axis', [1], []),
    createInt64Tensor('switch.limit', [limit], []),
  )
  const choose = createNode('If', ['switch.is_long'], tableNames)
  choose.attribute = [
    create(AttributeProtoSchema, {
      name: 'then_branch',
      g: createBranch('long'),
      type: AttributeProto_AttributeType.GRAPH,
    }),
    create(AttributeProtoSchema, {
      name: 'else_branch',
      g: createBranch('short'),
      type: AttributeProto_AttributeType.GRAPH,
    }),
  ]
  graph.node.unshift(
    createNode('Shape', [graphInputs.attentionMask], ['switch.shape']),
    createNode('Gather', ['switch.shape', 'switch.axis'], ['switch.total'], { axis: 0n }),
    createNode('Greater', ['switch.total', 'switch.limit'], ['switch.is_long']),
    choose,
  )
}

function readFloats({ rawData }: TensorProto): Float32Array<ArrayBuffer> {
  return new Float32Array(rawData.slice().buffer)
}

function createType(dims: readonly bigint[]) {
  const dim = dims.map((value) => ({ value: { case: 'dimValue' as const, value } }))
  return { value: { case: 'tensorType' as const, value: { elemType: tensorTypes.float32, shape: { dim } } } }
}

/**
 * Rotates queries and keys before attention, with positions from an input, and normalizes each head after that, as in
 * Hunyuan.
 */
export function rotateOutside(graph: GraphProto): void {
  const rawData = new Uint8Array(Float32Array.from({ length: headSize }, (_, index) => index % 7).buffer)
  const tensor = { name: 'norm', dims: [BigInt(headSize)], dataType: tensorTypes.float32, rawData }
  graph.initializer.push(create(TensorProtoSchema, tensor))
  for (const node of graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')) {
    rotateInput(graph, node, 0, 6)
    rotateInput(graph, node, 1, 2)
    node.input = node.input.slice(0, 7)
    node.attribute = node.attribute.filter(({ name }) => name !== 'do_rotary')
  }
  const dim = ['batch', 'length'].map((value) => ({ value: { case: 'dimParam' as const, value } }))
  const type = {
    value: { case: 'tensorType' as const, value: { elemType: tensorTypes.int64, shape: { dim } } },
  }
  graph.input.push(create(ValueInfoProtoSchema, { name: graphInputs.positionIds, type }))
}

function rotateInput(graph: GraphProto, node: NodeProto, index: number, heads: number): void {
  const prefix = `${node.output[0]}.${index}`
  const [rotated, split, normalized, merged] = ['rotated', 'split', 'normalized', 'merged'].map(
    (step) => `${prefix}.${step}`,
  ) as [string, string, string, string]
  const shape = (size: number) => {
    const name = `norm.shape.${size}`
    if (!graph.initializer.some((tensor) => tensor.name === name))
      graph.initializer.push(createInt64Tensor(name, [0, -1, size]))
    return name
  }
  const inputs = [node.input[index]!, graphInputs.positionIds, ...node.input.slice(7, 9)]
  insertBefore(
    graph,
    node,
    createNode('RotaryEmbedding', inputs, [rotated], { num_heads: BigInt(heads) }, 'com.microsoft'),
    createNode('Reshape', [rotated, shape(headSize)], [split]),
    createNode('SimplifiedLayerNormalization', [split, 'norm'], [normalized], { axis: -1n, epsilon: 1e-5 }),
    createNode('Reshape', [normalized, shape(headSize * heads)], [merged]),
  )
  node.input[index] = merged
}
