import { addInt64, createNode, insertBefore } from './graph-edit.js'
import type { GraphProto, NodeProto } from './onnx_pb.js'

/** The positions of the inputs of GroupQueryAttention (ONNX Runtime, ContribOperators.md). */
const attentionInputs = { query: 0, key: 1, queryNorm: 14, keyNorm: 15 } as const

/** The default of `qk_norm_epsilon`. */
const defaultEpsilon = 1e-6

/**
 * Computes the norms of queries and keys before attention instead of in it. onnxruntime-genai's model builder 0.15.2 and later
 * puts these norms into GroupQueryAttention (Qwen 3, LFM2), but ONNX Runtime's CPU kernel does not compute them. The builder's
 * earlier versions write the same nodes as this function.
 */
export function splitNorms(graph: GraphProto): void {
  for (const node of graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')) {
    const { query, key, queryNorm, keyNorm } = attentionInputs
    // Packed inputs have no keys.
    if (![queryNorm, keyNorm, key].every((input) => node.input[input])) continue
    splitNorm(graph, node, query, queryNorm, 'num_heads')
    splitNorm(graph, node, key, keyNorm, 'kv_num_heads')
    node.attribute = node.attribute.filter(({ name }) => name !== 'qk_norm_epsilon')
    while (node.input.at(-1) === '') node.input.pop()
  }
}

function splitNorm(graph: GraphProto, node: NodeProto, input: number, weight: number, heads: string): void {
  const find = (name: string) => node.attribute.find((attribute) => attribute.name === name)
  const weightName = node.input[weight] ?? ''
  const size = Number(graph.initializer.find(({ name }) => name === weightName)?.dims[0] ?? 0n)
  const prefix = `${node.output[0]}.${heads}`
  const [split, normalized, merged] = ['split', 'normalized', 'merged'].map((step) => `${prefix}.${step}`)
  insertBefore(
    graph,
    node,
    createNode('Reshape', [node.input[input] ?? '', addInt64(graph, [0, -1, size])], [split!]),
    createNode('SimplifiedLayerNormalization', [split!, weightName], [normalized!], {
      axis: -1n,
      epsilon: find('qk_norm_epsilon')?.f ?? defaultEpsilon,
      stash_type: 1n,
    }),
    createNode(
      'Reshape',
      [normalized!, addInt64(graph, [0, -1, size * Number(find(heads)?.i ?? 0n)])],
      [merged!],
    ),
  )
  node.input[input] = merged!
  node.input[weight] = ''
}
