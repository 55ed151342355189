import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { graphInputs } from './graph-names.js'
import {
  ModelProtoSchema,
  TensorProto_DataType,
  type GraphProtoSchema,
  type TensorProtoSchema,
} from './onnx_pb.js'
import { readPrefillRules } from './prefill-rules.js'

const readRules = (graph: MessageInitShape<typeof GraphProtoSchema>) =>
  readPrefillRules(create(ModelProtoSchema, { graph }))

it.each([
  ['DynamicQuantizeLinear', true],
  ['DynamicQuantizeMatMul', true],
  ['QuantizeLinear', false],
  ['MatMulNBits', false],
])('a prompt is computed in one run if the graph has %s: %s', (opType, wholePrompt) => {
  const rules = readRules({ node: [{ opType: 'MatMul' }, { opType }] })
  expect(rules).toEqual({ wholePrompt, rotarySwitch: Infinity })
})

const int64 = (value: bigint) =>
  ({
    dataType: TensorProto_DataType.INT64,
    rawData: new Uint8Array(BigInt64Array.of(value).buffer),
  }) satisfies MessageInitShape<typeof TensorProtoSchema>
const int32 = (value: number) =>
  ({
    dataType: TensorProto_DataType.INT32,
    rawData: new Uint8Array(Int32Array.of(value).buffer),
  }) satisfies MessageInitShape<typeof TensorProtoSchema>

/** As onnxruntime-genai's model builder writes it. */
const totalLength = [
  { opType: 'Constant', output: ['one'], attribute: [{ name: 'value', t: int64(1n) }] },
  { opType: 'Shape', input: [graphInputs.attentionMask], output: ['shape'] },
  { opType: 'Gather', input: ['shape', 'one'], output: ['total'] },
]
const limit = { opType: 'Constant', output: ['limit'], attribute: [{ name: 'value', t: int64(4096n) }] }

it.each([
  ['total Greater limit', 4096],
  ['total LessOrEqual limit', 4096],
  ['total GreaterOrEqual limit', 4095],
  ['total Less limit', 4095],
  ['limit Less total', 4096],
  ['limit GreaterOrEqual total', 4096],
  ['limit LessOrEqual total', 4095],
  ['limit Greater total', 4095],
])('%s: the last length of the first rotary factors is %i', (comparison, rotarySwitch) => {
  const [first = '', opType = '', second = ''] = comparison.split(' ')
  const node = [...totalLength, limit, { opType, input: [first, second], output: ['is_long'] }]
  expect(readRules({ node })).toEqual({ wholePrompt: false, rotarySwitch })
})

it('the length may be the converted sum of the mask, and the constant a weight', () => {
  const rules = readRules({
    initializer: [{ name: 'limit', ...int32(4096) }],
    node: [
      { opType: 'ReduceSum', input: [graphInputs.attentionMask, 'axes'], output: ['sum'] },
      { opType: 'Cast', input: ['sum'], output: ['total'] },
      { opType: 'Greater', input: ['total', 'limit'], output: ['is_long'] },
    ],
  })
  expect(rules).toEqual({ wholePrompt: false, rotarySwitch: 4096 })
})

it('a prompt is computed in one run if the graph has several switches', () => {
  const other = { opType: 'Constant', output: ['other'], attribute: [{ name: 'value', t: int64(512n) }] }
  const compare = (constant: string) => ({
    opType: 'Greater',
    input: ['total', constant],
    output: [`is_above_${constant}`],
  })
  const node = [...totalLength, limit, other, compare('limit'), compare('other')]
  expect(readRules({ node })).toMatchObject({ wholePrompt: true })
})

it.each([
  ['another dimension of the mask', ['batch', 'limit']],
  ['two values', ['total', 'batch']],
  ['values in a cycle', ['cycle', 'limit']],
])('a comparison of %s is not a switch', (_, input) => {
  const rules = readRules({
    initializer: [{ name: 'zero', ...int64(0n) }],
    node: [
      ...totalLength,
      limit,
      { opType: 'Gather', input: ['shape', 'zero'], output: ['batch'] },
      { opType: 'Cast', input: ['cycle'], output: ['cycle'] },
      { opType: 'Greater', input, output: ['is_long'] },
    ],
  })
  expect(rules.rotarySwitch).toBe(Infinity)
})
