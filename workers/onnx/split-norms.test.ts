import { create } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { AttributeProto_AttributeType, GraphProtoSchema } from './onnx_pb.js'
import { splitNorms } from './split-norms.js'

const { INT, FLOAT } = AttributeProto_AttributeType
const lengths = ['pk', 'pv', 'a', 'b', 'cos', 'sin', '', '', '', '', '']

const createGraph = (input: readonly string[]) =>
  create(GraphProtoSchema, {
    initializer: ['qn', 'kn'].map((name) => ({ name, dims: [16n], dataType: 1 })),
    node: [
      {
        opType: 'GroupQueryAttention',
        domain: 'com.microsoft',
        input: [...input],
        output: ['x', 'k', 'v'],
        attribute: [
          { name: 'num_heads', i: 4n, type: INT },
          { name: 'kv_num_heads', i: 2n, type: INT },
          { name: 'qk_norm_epsilon', f: 0.5, type: FLOAT },
        ],
      },
    ],
  })

it('norms of queries and keys are computed before attention, over each head', () => {
  const graph = createGraph(['q', 'k0', 'v0', ...lengths, 'qn', 'kn'])
  splitNorms(graph)
  const kinds = graph.node.map(({ opType }) => opType)
  const norm = ['Reshape', 'SimplifiedLayerNormalization', 'Reshape']
  expect(kinds).toEqual([...norm, ...norm, 'GroupQueryAttention'])
  const norms = graph.node.filter(({ opType }) => opType === 'SimplifiedLayerNormalization')
  expect(norms.map(({ input }) => input[1])).toEqual(['qn', 'kn'])
  for (const { attribute } of norms) expect(attribute.find(({ name }) => name === 'epsilon')?.f).toBe(0.5)
  const shapes = graph.node.filter(({ opType }) => opType === 'Reshape').map(({ input }) => input[1]!)
  const readShape = (name: string) => {
    const { rawData } = graph.initializer.find((tensor) => tensor.name === name)!
    return [...new BigInt64Array(rawData.buffer)].map(Number)
  }
  // Split, and merged again: 4 query heads and 2 key heads of 16.
  expect(shapes.map(readShape)).toEqual([
    [0, -1, 16],
    [0, -1, 64],
    [0, -1, 16],
    [0, -1, 32],
  ])
  const attention = graph.node.at(-1)!
  expect(attention.input).toEqual([
    graph.node[2]!.output[0],
    graph.node[5]!.output[0],
    'v0',
    ...lengths.slice(0, 6),
  ])
  expect(attention.attribute.map(({ name }) => name)).toEqual(['num_heads', 'kv_num_heads'])
})

it.each([
  ['without norms', ['q', 'k0', 'v0', ...lengths]],
  ['with packed queries, keys and values', ['q', '', '', ...lengths, 'qn', 'kn']],
])('attention %s stays as it is', (_, input) => {
  const graph = createGraph(input)
  splitNorms(graph)
  expect(graph.node).toEqual(createGraph(input).node)
})
