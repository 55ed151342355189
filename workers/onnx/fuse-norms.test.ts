import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { fuseNorms } from './fuse-norms.js'
import { createNode } from './graph-edit.js'
import { computeValues } from './graph-values.js'
import { GraphProtoSchema, type NodeProto } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

const size = 8
const axes = [-1n]

/** A graph as Optimum writes it: the embedding of a token, a sum with itself, and the norm of the sum. */
function createGraph(
  change: (nodes: NodeProto[]) => void = () => {},
  weightType: number = tensorTypes.float32,
) {
  const nodes = [
    createNode('Gather', ['embedding', 'input_ids'], ['x']),
    createNode('Add', ['x', 'x'], ['sum']),
    createNode('Cast', ['sum'], ['wide'], { to: 1n }),
    createNode('Pow', ['wide', 'two'], ['squares']),
    createNode('ReduceMean', ['squares'], ['mean'], { axes, keepdims: 1n }),
    createNode('Add', ['mean', 'epsilon'], ['above']),
    createNode('Sqrt', ['above'], ['root']),
    createNode('Div', ['one', 'root'], ['factor']),
    createNode('Mul', ['wide', 'factor'], ['normalized']),
    createNode('Cast', ['normalized'], ['narrow'], { to: 1n }),
    createNode('Mul', ['weight', 'narrow'], ['norm']),
    createNode('MatMul', ['norm', 'w'], ['product']),
    createNode('Add', ['sum', 'product'], ['logits']),
  ]
  change(nodes)
  const float = (name: string, dims: number[], values: number[] = []) => ({
    name,
    dims: dims.map(BigInt),
    dataType: tensorTypes.float32 as number,
    rawData: new Uint8Array(Float32Array.from(values).buffer),
  })
  const dim = [1, 4].map((value) => ({ value: { case: 'dimValue' as const, value: BigInt(value) } }))
  const tensorType = { case: 'tensorType' as const, value: { elemType: tensorTypes.int64, shape: { dim } } }
  return create(GraphProtoSchema, {
    node: nodes,
    input: [{ name: 'input_ids', type: { value: tensorType } }],
    output: [{ name: 'logits' }],
    initializer: [
      float('embedding', [16, size]),
      { ...float('weight', [size]), dataType: weightType },
      float('w', [size, size]),
      float('two', [], [2]),
      float('one', [], [1]),
      float('epsilon', [], [0.5]),
    ],
  })
}

function fuse(...options: Parameters<typeof createGraph>) {
  const graph = createGraph(...options)
  const lengths = { newTokens: 4, pastTokens: 0 }
  fuseNorms(graph, computeValues(graph, lengths, { heads: undefined, headSize: undefined }))
  return graph.node
}

const find = (nodes: readonly NodeProto[], opType: string) => nodes.find((node) => node.opType === opType)

describe('a norm that is written out', () => {
  it('becomes one node, with the sum before it', () => {
    const norm = find(fuse(), 'SkipSimplifiedLayerNormalization')!
    expect(norm.input).toEqual(['x', 'x', 'weight'])
    expect(norm.output).toEqual(['norm', '', '', 'sum'])
    expect(norm.attribute.map(({ name, f }) => [name, f])).toEqual([['epsilon', 0.5]])
  })

  it('becomes one node without a sum', () => {
    const nodes = fuse((all) => all.splice(1, 1, createNode('Identity', ['x'], ['sum'])))
    const norm = find(nodes, 'SimplifiedLayerNormalization')!
    expect([norm.input, norm.output]).toEqual([['sum', 'weight'], ['norm']])
  })

  it('becomes a node without the sum if its weight is computed', () => {
    const nodes = fuse((all) => {
      all.splice(10, 1, createNode('Mul', ['scaled', 'narrow'], ['norm']))
      all.unshift(createNode('Mul', ['weight', 'two'], ['scaled']))
    })
    expect(find(nodes, 'SimplifiedLayerNormalization')!.input).toEqual(['sum', 'scaled'])
  })
})

it.each<[string, Parameters<typeof createGraph>]>([
  ['the weight has 16 bits', [() => {}, tensorTypes.float16]],
  [
    'the square is another power',
    [(all) => all.splice(3, 1, createNode('Pow', ['wide', 'one'], ['squares']))],
  ],
  ['the mean is over the tokens', [(all) => (all[4]!.attribute[0]!.ints = [1n])]],
  ['the mean is of something else', [(all) => (all[3]!.input[0] = 'x')]],
  [
    'the factor is no reciprocal',
    [(all) => all.splice(7, 1, createNode('Div', ['two', 'root'], ['factor']))],
  ],
  [
    'activations are quantized',
    [(all) => all.push(createNode('DynamicQuantizeLinear', ['norm'], ['quantized', 'scale', 'zero']))],
  ],
])('stays written out if %s', (_, options) => {
  const nodes = fuse(...options)
  expect(find(nodes, 'SimplifiedLayerNormalization')).toBeUndefined()
  expect(find(nodes, 'SkipSimplifiedLayerNormalization')).toBeUndefined()
})
