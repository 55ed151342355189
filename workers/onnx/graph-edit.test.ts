import { create } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { addInt64, removeDeadNodes } from './graph-edit.js'
import { GraphProtoSchema } from './onnx_pb.js'

it('nodes, inputs and weights that nothing depends on are removed, but not those that a branch reads', () => {
  const graph = create(GraphProtoSchema, {
    input: ['condition', 'read', 'unread'].map((name) => ({ name })),
    initializer: ['inner', 'other'].map((name) => ({ name })),
    output: [{ name: 'y' }],
    node: [
      { opType: 'Neg', input: ['read'], output: ['x'] },
      { opType: 'Neg', input: ['unread', 'other'], output: ['first'] },
      { opType: 'Neg', input: ['first'], output: ['second'] },
      {
        opType: 'If',
        input: ['condition'],
        output: ['y'],
        attribute: [
          { name: 'then_branch', g: { node: [{ opType: 'Add', input: ['x', 'inner'], output: ['a'] }] } },
          { name: 'else_branch', g: { output: [{ name: 'x' }] } },
        ],
      },
    ],
  })
  removeDeadNodes(graph)
  expect(graph.node.map(({ output }) => output[0])).toEqual(['x', 'y'])
  expect(graph.input.map(({ name }) => name)).toEqual(['condition', 'read'])
  expect(graph.initializer.map(({ name }) => name)).toEqual(['inner'])
})

it('a constant is added only once', () => {
  const graph = create(GraphProtoSchema)
  expect(addInt64(graph, [1, -1])).toBe(addInt64(graph, [1, -1]))
  expect(addInt64(graph, [1])).not.toBe(addInt64(graph, [1, -1]))
  expect(graph.initializer).toHaveLength(2)
})
