import { create } from '@bufbuild/protobuf'
import { addInt64, createNode } from './graph-edit.js'
import { graphInputs, parsePastName } from './graph-names.js'
import {
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/** How an exporter writes attention. */
export interface WrittenForm {
  /** How the mask hides tokens: with a condition, or by adding large negative numbers. */
  readonly mask: 'where' | 'add' | 'infinite'
  /** The number of tokens that each token reads. By default, all tokens up to itself. */
  readonly window?: number
  /** True if the positions are an input. Otherwise they start at the length of the cache. */
  readonly hasPositionInput?: boolean
  /** True if the graph computes the rotary factors from the positions. Otherwise it reads them from tables. */
  readonly computesRotary?: boolean
  /** The largest position with these rotary factors, if the graph computes them. Later ones have half the angle. */
  readonly rotaryLimit?: number
  /** The number of dimensions of queries, keys and values in the matrix products. */
  readonly rank?: 3 | 4
  /** Where the scale is: at the queries, half of it at queries and keys, or at the scores. */
  readonly scale?: 'queries' | 'both' | 'scores'
  readonly softcap?: number
  /** True if the scores have a bias that grows with the position, as in BLOOM. */
  readonly hasBias?: boolean
  /** The smallest score. */
  readonly floor?: number
  /** True if query heads share a key head in another order than in GroupQueryAttention. */
  readonly isInterleaved?: boolean
  /** True if a token reads the next one, too. */
  readonly readsNext?: boolean
}

/** The sizes of the embedded model. */
const [heads, cacheHeads, headSize] = [6, 2, 32]
const group = heads / cacheHeads

/**
 * Writes the attention of the embedded model out in operators, as Optimum exports it: the test has no other graph of that
 * kind that it can always use. Nodes that became useless stay in the graph.
 */
export function writeOutAttention(graph: GraphProto, form: WrittenForm): void {
  const { mask, window, hasPositionInput = false, computesRotary = false, softcap, floor } = form
  const { hasBias = false, rotaryLimit = 2 ** 40 } = form
  const { rank = 4, scale: place = 'scores', isInterleaved = false, readsNext = false } = form
  const floats = (value: number) => addFloat(graph, value)
  const ints = (...values: number[]) => addInt64(graph, values)
  const attentions = graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')
  const past = graph.input.find(({ name }) => parsePastName(name))!.name

  // The lengths, positions and mask that all layers share.
  const shared: NodeProto[] = [
    createNode('Shape', [past], ['w.past_shape']),
    createNode('Gather', ['w.past_shape', scalar(graph, 2)], ['w.past'], { axis: 0n }),
    createNode('Shape', [graphInputs.tokenIds], ['w.ids_shape']),
    createNode('Gather', ['w.ids_shape', scalar(graph, 1)], ['w.new'], { axis: 0n }),
    createNode('Add', ['w.past', 'w.new'], ['w.total']),
    createNode('Range', ['w.past', 'w.total', scalar(graph, 1)], ['w.range']),
    createNode('Unsqueeze', ['w.range', ints(0)], ['w.range_row']),
    createNode('Unsqueeze', ['w.range', ints(1)], ['w.rows']),
    createNode('Range', [scalar(graph, 0), 'w.total', scalar(graph, 1)], ['w.columns']),
    createNode('Sub', ['w.rows', 'w.columns'], ['w.distance']),
    createNode('Less', ['w.distance', scalar(graph, readsNext ? -1 : 0)], ['w.is_later']),
    createNode('GreaterOrEqual', ['w.distance', scalar(graph, window ?? 2 ** 40)], ['w.is_earlier']),
    createNode('Or', ['w.is_later', 'w.is_earlier'], ['w.is_hidden']),
    createNode('Cast', [graphInputs.attentionMask], ['w.mask_bool'], { to: BigInt(tensorTypes.bool) }),
    createNode('Not', ['w.mask_bool'], ['w.is_padding']),
    createNode('Or', ['w.is_hidden', 'w.is_padding'], ['w.is_masked']),
    createNode('Unsqueeze', ['w.is_masked', ints(0, 1)], ['w.hidden']),
    createNode(
      'Where',
      ['w.hidden', floats(mask === 'infinite' ? -Infinity : -3.4e38), floats(0)],
      ['w.added'],
    ),
    createNode('Cast', ['w.columns'], ['w.columns_float'], { to: BigInt(tensorTypes.float32) }),
    createNode('Mul', ['w.columns_float', addSlopes(graph)], ['w.bias']),
  ]
  if (hasPositionInput) addPositionInput(graph)
  const positions = hasPositionInput ? graphInputs.positionIds : 'w.range_row'
  const toFloat = { to: BigInt(tensorTypes.float32) }
  if (computesRotary)
    // As transformers' rotary embedding: [1, new tokens, head size], with the same angles in both halves of a head.
    shared.push(
      createNode('Unsqueeze', [positions, ints(1)], ['w.position_row']),
      createNode('Cast', ['w.position_row'], ['w.position_floats'], toFloat),
      createNode('Greater', ['w.total', scalar(graph, rotaryLimit)], ['w.is_long']),
      createNode('Where', ['w.is_long', floats(0.5), floats(1)], ['w.rotary_scale']),
      createNode(
        'Mul',
        [addFrequencies(graph, attentions[0]!.input[8]!), 'w.rotary_scale'],
        ['w.frequencies'],
      ),
      createNode('MatMul', ['w.frequencies', 'w.position_floats'], ['w.angle_columns']),
      createNode('Transpose', ['w.angle_columns'], ['w.angle_rows'], { perm: [0n, 2n, 1n] }),
      createNode('Concat', ['w.angle_rows', 'w.angle_rows'], ['w.angles'], { axis: -1n }),
      ...['Cos', 'Sin'].flatMap((opType) => [
        createNode(opType, ['w.angles'], [`w.${opType}.rows`]),
        createNode('Unsqueeze', [`w.${opType}.rows`, ints(1)], [`w.${opType}`]),
      ]),
    )
  graph.node.unshift(...shared)

  for (const [layer, node] of attentions.entries()) {
    const [query = '', key = '', value = '', pastKey = '', pastValue = ''] = node.input
    const [output = '', presentKey = '', presentValue = ''] = node.output
    const nodes: NodeProto[] = []
    const add = (opType: string, input: readonly string[], attributes = {}, domain = '', name?: string) => {
      const result = name ?? `w.${layer}.${nodes.length}`
      nodes.push(createNode(opType, input, [result], attributes, domain))
      return result
    }
    const split = (name: string, count: number) =>
      add('Transpose', [add('Reshape', [name, ints(0, 0, count, headSize)])], { perm: [0n, 2n, 1n, 3n] })
    const slice = (name: string, start: number, end: number) =>
      add('Slice', [name, ints(start), ints(end), ints(3)])
    const splitRotated = (name: string, count: number) => {
      if (!computesRotary) {
        const inputs = [name, positions, node.input[7]!, node.input[8]!]
        const attributes = { num_heads: BigInt(count) }
        return split(add('RotaryEmbedding', inputs, attributes, 'com.microsoft'), count)
      }
      const rows = split(name, count)
      const second = add('Neg', [slice(rows, headSize / 2, headSize)])
      const turned = add('Concat', [second, slice(rows, 0, headSize / 2)], { axis: -1n })
      return add('Add', [add('Mul', [rows, 'w.Cos']), add('Mul', [turned, 'w.Sin'])])
    }
    const scaleBy = (name: string, factor: number) => add('Mul', [name, floats(factor)])
    const factor = headSize ** -0.5

    let queries = splitRotated(query, heads)
    if (place !== 'scores') queries = scaleBy(queries, place === 'both' ? factor ** 0.5 : factor)
    const cache = { axis: -2n }
    const keys = add('Concat', [pastKey, splitRotated(key, cacheHeads)], cache, '', presentKey)
    const values = add('Concat', [pastValue, split(value, cacheHeads)], cache, '', presentValue)

    /** As `repeat_kv` of transformers, with the lengths from the shape of the cache. */
    const repeat = (name: string) => {
      const shape = add('Shape', [name])
      const tokens = add('Unsqueeze', [add('Gather', [shape, scalar(graph, 2)], { axis: 0n }), ints(0)])
      const [before, after] = isInterleaved ? [[group, cacheHeads], 1] : [[cacheHeads, group], 2]
      const wanted = add('Concat', [ints(1, ...before), tokens, ints(headSize)], { axis: 0n })
      const expanded = add('Expand', [add('Unsqueeze', [name, ints(after)]), wanted])
      const merged = rank === 3 ? [ints(heads)] : [ints(1, heads)]
      return add('Reshape', [expanded, add('Concat', [...merged, tokens, ints(headSize)], { axis: 0n })])
    }
    let repeatedKeys = repeat(keys)
    if (place === 'both') repeatedKeys = scaleBy(repeatedKeys, factor ** 0.5)
    const perm = rank === 3 ? [0n, 2n, 1n] : [0n, 1n, 3n, 2n]
    const flat = rank === 3 ? add('Reshape', [queries, ints(heads, -1, headSize)]) : queries
    let scores = add('MatMul', [flat, add('Transpose', [repeatedKeys], { perm })])
    if (place === 'scores') scores = add('Div', [scores, floats(1 / factor)])
    if (softcap !== undefined) scores = scaleBy(add('Tanh', [add('Div', [scores, floats(softcap)])]), softcap)
    if (hasBias) scores = add('Add', [scores, 'w.bias'])
    if (rank === 3) {
      const lengths = ['w.new', 'w.total'].map((name) => add('Unsqueeze', [name, ints(0)]))
      scores = add('Reshape', [scores, add('Concat', [ints(1, heads), ...lengths], { axis: 0n })])
    }
    scores =
      mask === 'where' ? add('Where', ['w.hidden', floats(-3.4e38), scores]) : add('Add', [scores, 'w.added'])
    if (floor !== undefined) scores = add('Max', [scores, floats(floor)])
    let probabilities = add('Softmax', [scores], { axis: -1n })
    if (mask === 'infinite')
      probabilities = add('Where', [add('IsNaN', [probabilities]), floats(0), probabilities])
    if (rank === 3) {
      const lengths = ['w.new', 'w.total'].map((name) => add('Unsqueeze', [name, ints(0)]))
      const wanted = add('Concat', [ints(heads), ...lengths], { axis: 0n })
      probabilities = add('Reshape', [probabilities, wanted])
    }
    let result = add('MatMul', [probabilities, repeat(values)])
    if (rank === 3) result = add('Reshape', [result, ints(1, heads, -1, headSize)])
    result = add('Transpose', [result], { perm: [0n, 2n, 1n, 3n] })
    const shape = add('Shape', [result])
    const tokens = add('Unsqueeze', [add('Gather', [shape, scalar(graph, 1)], { axis: 0n }), ints(0)])
    add('Reshape', [result, add('Concat', [ints(1), tokens, ints(-1)], { axis: 0n })], {}, '', output)
    graph.node.splice(graph.node.indexOf(node), 1, ...nodes)
  }
}

function addTensor(graph: GraphProto, tensor: TensorProto): string {
  if (!graph.initializer.some(({ name }) => name === tensor.name)) graph.initializer.push(tensor)
  return tensor.name
}

function addFloat(graph: GraphProto, value: number): string {
  const rawData = new Uint8Array(Float32Array.of(value).buffer)
  const dataType = tensorTypes.float32
  return addTensor(graph, create(TensorProtoSchema, { name: `w.float.${value}`, dataType, rawData }))
}

function scalar(graph: GraphProto, value: number): string {
  const rawData = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)
  const dataType = tensorTypes.int64
  return addTensor(graph, create(TensorProtoSchema, { name: `w.scalar.${value}`, dataType, rawData }))
}

/** Another slope for each head, [heads, 1, 1]. */
function addSlopes(graph: GraphProto): string {
  const slopes = Float32Array.from({ length: heads }, (_, head) => 2 ** -(head + 3))
  const dims = [BigInt(heads), 1n, 1n]
  const rawData = new Uint8Array(slopes.buffer)
  const dataType = tensorTypes.float32
  return addTensor(graph, create(TensorProtoSchema, { name: 'w.slopes', dims, dataType, rawData }))
}

/** Reads the angles at position 1 from the table of sines, [1, head size / 2, 1]. */
function addFrequencies(graph: GraphProto, sines: string): string {
  const table = graph.initializer.find(({ name }) => name === sines)!
  const size = headSize / 2
  const second = new Float32Array(table.rawData.slice(size * 4, size * 8).buffer)
  const rawData = new Uint8Array(second.map(Math.asin).buffer)
  const dims = [1n, BigInt(size), 1n]
  return addTensor(
    graph,
    create(TensorProtoSchema, { name: 'w.inverse', dims, dataType: tensorTypes.float32, rawData }),
  )
}

function addPositionInput(graph: GraphProto): void {
  const dim = ['batch', 'length'].map((value) => ({ value: { case: 'dimParam' as const, value } }))
  const elemType = tensorTypes.int64
  graph.input.push(
    create(ValueInfoProtoSchema, {
      name: graphInputs.positionIds,
      type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
    }),
  )
}
