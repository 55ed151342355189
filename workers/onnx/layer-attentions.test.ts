import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { createNode } from './graph-edit.js'
import { readAttentions } from './layer-attentions.js'
import { GraphProtoSchema } from './onnx_pb.js'

const inputs = [
  'q',
  'k',
  'v',
  'past_key_values.3.key',
  'past_key_values.3.value',
  'last',
  'total',
  'cos',
  'sin',
]
const attributes = { num_heads: 9n, kv_num_heads: 3n, do_rotary: 1n }

function read(
  attention: { readonly input?: readonly string[]; readonly attributes?: Parameters<typeof createNode>[3] },
  graph: MessageInitShape<typeof GraphProtoSchema> = { initializer: [{ name: 'cos', dims: [8192n, 32n] }] },
) {
  const node = createNode('GroupQueryAttention', attention.input ?? inputs, ['x'], {
    ...attributes,
    ...attention.attributes,
  })
  return readAttentions(create(GraphProtoSchema, { ...graph, node: [node] }))
}

const plain = {
  pastKey: 'past_key_values.3.key',
  heads: 9,
  cacheHeads: 3,
  scale: undefined,
  rotaryWidth: 32,
  isInterleaved: false,
}

it('reads the heads, the scale and the rotation of a layer', () => {
  expect(read({})).toEqual([plain])
  expect(read({ attributes: { scale: 0.25, rotary_interleaved: 1n } })).toEqual([
    { ...plain, scale: 0.25, isInterleaved: true },
  ])
  expect(read({ attributes: { do_rotary: 0n } })).toEqual([{ ...plain, rotaryWidth: undefined }])
})

it('reads the width of a rotary table that is an input', () => {
  const dim = [{ value: { case: 'dimParam' as const, value: 'rows' } }]
  const width = { value: { case: 'dimValue' as const, value: 48n } }
  const tensorType = { case: 'tensorType' as const, value: { shape: { dim: [...dim, width] } } }
  const input = [{ name: 'cos', type: { value: tensorType } }]
  expect(read({}, { input })).toEqual([{ ...plain, rotaryWidth: 48 }])
})

it.each([
  ['a soft cap', { attributes: { softcap: 50 } }],
  ['a window', { attributes: { local_window_size: 128n } }],
  ['a smooth softmax', { attributes: { smooth_softmax: 1n } }],
  ['a quantized cache', { attributes: { kv_cache_bit_width: 8n } }],
  ['positions', { input: [...inputs, 'position_ids'] }],
  ['a bias', { input: [...inputs, '', 'bias'] }],
  ['a sink', { input: [...inputs, '', '', 'sink'] }],
  ['an unknown cache', { input: inputs.with(3, 'cache') }],
])('leaves out a layer with %s', (_, attention) => {
  expect(read(attention)).toEqual([])
})
