import { readFileSync } from 'node:fs'
import { create, fromBinary } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { isBatchable } from './batchable-graph.js'
import { createInt64Tensor, createNode } from './graph-edit.js'
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
} from './onnx_pb.js'
import { rewriteGraph } from './rewrite-graph.js'

function check(...nodes: NodeProto[]): boolean {
  return isBatchable(
    create(GraphProtoSchema, {
      input: ['input_ids', 'past_key_values.0.key'].map((name) => create(ValueInfoProtoSchema, { name })),
      initializer: [
        createInt64Tensor('weight', [1, 2], [1, 2]),
        createInt64Tensor('keeps', [0, -1, 4]),
        createInt64Tensor('one', [1, -1, 4]),
        createInt64Tensor('zero', [0]),
        createInt64Tensor('first', [1]),
        createInt64Tensor('flat', [-1]),
        createInt64Tensor('last', [-1]),
        createInt64Tensor('lastButOne', [-2]),
      ],
      node: [createNode('Gather', ['weight', 'input_ids'], ['x']), ...nodes],
    }),
  )
}

it.each<[string, NodeProto[]]>([
  ['a product with a weight', [createNode('MatMul', ['x', 'weight'], ['y'])]],
  [
    'a weight that is reshaped',
    [createNode('Reshape', ['weight', 'one'], ['y']), createNode('MatMul', ['x', 'y'], ['z'])],
  ],
  ['a shape that keeps the first dimension', [createNode('Reshape', ['x', 'keeps'], ['y'])]],
  ['a part of each conversation', [createNode('Slice', ['x', 'zero', 'first', 'first'], ['y'])]],
  ['a part of each conversation at the end', [createNode('Slice', ['x', 'zero', 'first', 'last'], ['y'])]],
  ['heads that are split', [createNode('Split', ['x'], ['y', 'z'], { axis: -1n })]],
  ['a lookup along the first dimension', [createNode('Gather', ['weight', 'x'], ['y'], { axis: 0n })]],
])('%s is computed for several conversations', (_, nodes) => {
  expect(check(...nodes)).toBe(true)
})

it.each<[string, NodeProto[]]>([
  ['a shape for one conversation', [createNode('Reshape', ['x', 'one'], ['y'])]],
  ['a shape that is computed', [createNode('Shape', ['x'], ['s']), createNode('Reshape', ['x', 's'], ['y'])]],
  ['a part of the conversations', [createNode('Slice', ['x', 'zero', 'first', 'zero'], ['y'])]],
  ['a part along an unknown dimension', [createNode('Slice', ['x', 'zero', 'first'], ['y'])]],
  [
    'a part along a dimension that can be the first',
    [createNode('Slice', ['x', 'zero', 'first', 'lastButOne'], ['y'])],
  ],
  ['conversations that are split', [createNode('Split', ['x'], ['y', 'z'])]],
  ['a dimension that is split and can be the first', [createNode('Split', ['x'], ['y', 'z'], { axis: -2n })]],
  ['a shape of one dimension', [createNode('Reshape', ['x', 'flat'], ['y'])]],
  ['a lookup along another dimension', [createNode('Gather', ['weight', 'x'], ['y'], { axis: 1n })]],
  [
    'a node with a graph that reads the conversations',
    [
      create(NodeProtoSchema, {
        opType: 'If',
        input: ['zero'],
        output: ['y'],
        attribute: [
          create(AttributeProtoSchema, {
            name: 'then_branch',
            g: create(GraphProtoSchema, { node: [createNode('Identity', ['x'], ['y'])] }),
          }),
        ],
      }),
    ],
  ],
  [
    'conversations that are exchanged with heads',
    [createNode('Transpose', ['x'], ['y'], { perm: [1n, 0n] })],
  ],
  ['a lookup in a conversation', [createNode('Gather', ['x', 'first'], ['y'])]],
  ['an operator that is not known', [createNode('CumSum', ['x', 'first'], ['y'])]],
])('%s is not', (_, nodes) => {
  expect(check(...nodes)).toBe(false)
})

it('the embedded model is computed for several conversations, but not as it was exported', () => {
  const model = fromBinary(
    ModelProtoSchema,
    readFileSync('demo/public/models/stories/onnx/model_quantized.onnx'),
  )
  expect(isBatchable(model.graph!)).toBe(false)
  const cacheSizes = { heads: undefined, headSize: undefined }
  rewriteGraph(model, { device: 'webgpu', contextLength: 512, cacheSizes, rotarySwitch: Infinity })
  expect(isBatchable(model.graph!)).toBe(true)
})
