import { create } from '@bufbuild/protobuf'
import type { Scores } from './attention-scores.js'
import { computePath, movingOperators } from './data-flow.js'
import type { Attention } from './find-attention.js'
import { addInt64, createNode, insertBefore, mapProducers, type Producers } from './graph-edit.js'
import { addShape } from './graph-lengths.js'
import { graphInputs } from './graph-names.js'
import { readValues, type Probes } from './graph-probes.js'
import { NodeProtoSchema, TensorProtoSchema, type GraphProto, type NodeProto } from './onnx_pb.js'
import { createValue } from './tensor-value.js'
import { tensorTypes } from './tensor-types.js'

/** Replaces each attention by a node `GroupQueryAttention`. The nodes before it that become useless stay in the graph. */
export function fuseAttentions(graph: GraphProto, attentions: readonly Attention[], probes: Probes): void {
  const around = { producers: mapProducers(graph), consumers: mapConsumers(graph), probes }
  for (const [index, attention] of attentions.entries()) replaceAttention(graph, attention, index, around)
}

interface Surroundings {
  readonly producers: Producers
  readonly consumers: ReadonlyMap<string, readonly NodeProto[]>
  readonly probes: Probes
}

function mapConsumers({ node }: GraphProto): Map<string, NodeProto[]> {
  const consumers = new Map<string, NodeProto[]>()
  for (const each of node)
    for (const name of each.input) consumers.set(name, [...(consumers.get(name) ?? []), each])
  return consumers
}

function replaceAttention(
  graph: GraphProto,
  attention: Attention,
  index: number,
  around: Surroundings,
): void {
  const { product, key, value, heads, cacheHeads, headSize, scores } = attention
  const prefix = `rivulet.attention.${index}`
  const { values } = around.probes.small
  const added: NodeProto[] = []

  /** Returns [1, tokens, heads · head size]. */
  function toRows(name: string, count: number, part: string): string {
    const transpose = around.producers.get(name)
    const reshape = around.producers.get(transpose?.input[0] ?? '')
    const rows = values.get(reshape?.input[0] ?? '')?.dims
    const order = transpose?.attribute.find((attribute) => attribute.name === 'perm')?.ints.join()
    if (transpose?.opType === 'Transpose' && order === '0,2,1,3' && reshape?.opType === 'Reshape')
      if (rows?.join() === [1, around.probes.small.newTokens, count * headSize].join())
        return reshape.input[0]!
    const [transposed, result] = [`${prefix}.${part}.transposed`, `${prefix}.${part}`]
    added.push(
      createNode('Transpose', [name], [transposed], { perm: [0n, 2n, 1n, 3n] }),
      createNode('Reshape', [transposed, addInt64(graph, [0, 0, count * headSize])], [result]),
    )
    return result
  }

  const bias = scores.bias ? cloneBias(graph, scores.bias, prefix, around.probes, added) : ''
  const query = toRows(attention.query, heads, 'query')
  const keys = toRows(key.added, cacheHeads, 'key')
  const newValues = toRows(value.added, cacheHeads, 'value')
  const merged = findMerged(attention, around)
  const output = merged ?? `${prefix}.output`
  const node = createNode(
    'GroupQueryAttention',
    [
      query,
      keys,
      newValues,
      key.past,
      value.past,
      graphInputs.lastIndex,
      graphInputs.totalLength,
      '',
      '',
      '',
      bias,
    ],
    [output, key.concat.output[0]!, value.concat.output[0]!],
    {
      num_heads: BigInt(heads),
      kv_num_heads: BigInt(cacheHeads),
      scale: attention.scale,
      do_rotary: 0n,
      local_window_size: BigInt(scores.window ?? -1),
    },
    'com.microsoft',
  )
  while (node.input.at(-1) === '') node.input.pop()
  insertBefore(graph, product, ...added, node)
  if (merged === undefined) {
    const split = `${prefix}.output.split`
    const result = product.output[0]!
    const isFlat = values.get(result)?.dims.length === 3
    insertBefore(
      graph,
      product,
      createNode('Reshape', [output, addInt64(graph, [0, 0, heads, headSize])], [split]),
      createNode('Transpose', [split], [isFlat ? `${split}.transposed` : result], { perm: [0n, 2n, 1n, 3n] }),
      ...(isFlat
        ? [createNode('Reshape', [`${split}.transposed`, addInt64(graph, [heads, -1, headSize])], [result])]
        : []),
    )
  }
  const replaced = new Set([
    product,
    key.concat,
    value.concat,
    ...(merged === undefined ? [] : [around.producers.get(merged)]),
  ])
  graph.node = graph.node.filter((each) => !replaced.has(each))
}

/**
 * Finds the tensor [1, new tokens, heads · head size] after the product, if the nodes before it only move elements. It is
 * what `GroupQueryAttention` returns.
 */
function findMerged(
  { product, heads, headSize }: Attention,
  { consumers, probes }: Surroundings,
): string | undefined {
  const { values, newTokens } = probes.small
  const first = product.output[0] ?? ''
  const source = values.get(first)
  if (!source) return undefined
  const places = createValue(source.type, source.dims, () =>
    Float64Array.from({ length: newTokens * heads * headSize }, (_, index) => index),
  )
  const nodes: NodeProto[] = []
  for (let name = first; ;) {
    const [node, ...others] = consumers.get(name) ?? []
    const isMoved =
      node && movingOperators.has(node.opType) && node.opType !== 'Expand' && node.input[0] === name
    if (!isMoved || others.length > 0) return undefined
    nodes.push(node)
    name = node.output[0] ?? ''
    const value = computePath(nodes, [first, places], values).get(name)
    if (value?.type !== source.type) return undefined
    if (value.dims.join() !== [1, newTokens, heads * headSize].join()) continue
    const elements = value.read()
    const isMerged =
      elements &&
      Array.from(elements).every((place, index) => {
        const [token, column] = [Math.floor(index / (heads * headSize)), index % (heads * headSize)]
        const [head, inner] = [Math.floor(column / headSize), column % headSize]
        return place === (head * newTokens + token) * headSize + inner
      })
    return isMerged ? name : undefined
  }
}

/** Adds nodes that compute the bias: the scores where all products are 0. Returns the name of the bias. */
function cloneBias(
  graph: GraphProto,
  { product, nodes, result }: NonNullable<Scores['bias']>,
  prefix: string,
  probes: Probes,
  added: NodeProto[],
): string {
  const zeros = `${prefix}.zeros`
  const type = probes.small.values.get(product)?.type ?? 0
  const rawData = new Uint8Array(type === tensorTypes.float16 ? 2 : 4)
  const value = create(TensorProtoSchema, { dims: [1n], dataType: type, rawData })
  const shape = addShape(graph, readValues(probes, product)?.map(({ dims }) => dims) ?? [], probes)
  added.push(createNode('ConstantOfShape', [shape ?? ''], [zeros], { value }))
  const renamed = new Map([[product, zeros]])
  for (const [index, node] of nodes.entries()) {
    const output = `${prefix}.bias.${index}`
    const input = node.input.map((name) => renamed.get(name) ?? name)
    added.push(create(NodeProtoSchema, { ...node, name: output, input, output: [output] }))
    renamed.set(node.output[0] ?? '', output)
  }
  return renamed.get(result) ?? ''
}
