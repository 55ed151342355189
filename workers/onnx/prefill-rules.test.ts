import { create } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { ModelProtoSchema } from './onnx_pb.js'
import { readPrefillRules } from './prefill-rules.js'

it.each([
  ['DynamicQuantizeLinear', true],
  ['DynamicQuantizeMatMul', true],
  ['QuantizeLinear', false],
  ['MatMulNBits', false],
])('a prompt is computed in one run if the graph has %s: %s', (opType, wholePrompt) => {
  const model = create(ModelProtoSchema, { graph: { node: [{ opType: 'MatMul' }, { opType }] } })
  expect(readPrefillRules(model)).toMatchObject({ wholePrompt })
})
