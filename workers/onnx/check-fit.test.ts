import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { wasmMemoryBytes } from '../memory-exceeded.js'
import { checkFit, type MemoryLimits } from './check-fit.js'
import { ModelProtoSchema, TensorProto_DataLocation, type ValueInfoProtoSchema } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

const cacheTokens = 1024
const noSizes = { heads: undefined, headSize: undefined }
const noLimits: MemoryLimits = {
  maxTensorBytes: Infinity,
  maxModelBytes: Infinity,
  limitedBy: 'the option "memoryBudgetBytes"',
}

function stateInput(
  name: string,
  elemType: number,
  sizes: readonly (number | undefined)[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = sizes.map((size) =>
    size === undefined
      ? { value: { case: 'dimParam' as const, value: 'length' } }
      : { value: { case: 'dimValue' as const, value: BigInt(size) } },
  )
  return { name, type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } } }
}

/** [1, 3 heads, length, head size] */
function cacheInput(name: string, elemType: number, headSize: number | undefined) {
  return stateInput(name, elemType, [1, 3, undefined, headSize])
}

/** 5,000 external bytes and 1,000 bytes inside the file. The cache has 3 × 64 f32 and 3 × 64 f16 values per token. */
const model = create(ModelProtoSchema, {
  graph: {
    initializer: [
      {
        name: 'embedding',
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: [
          { key: 'location', value: 'model.onnx_data' },
          { key: 'length', value: '5000' },
        ],
      },
      { name: 'norm', rawData: new Uint8Array(1000) },
    ],
    input: [
      cacheInput('past_key_values.0.key', tensorTypes.float32, 64),
      cacheInput('past_key_values.0.value', tensorTypes.float16, 64),
      cacheInput('attention_mask', tensorTypes.float32, 64),
    ],
  },
})
const cacheBytes = cacheTokens * 3 * 64 * (4 + 2)
const modelBytes = 6000 + cacheBytes

describe('a model', () => {
  it('that fits exactly is accepted', () => {
    const limits = { ...noLimits, maxModelBytes: modelBytes, maxTensorBytes: cacheTokens * 3 * 64 * 4 }
    expect(() => checkFit(model, cacheTokens, limits, noSizes)).not.toThrow()
  })

  it('of more than 4 GiB in external parts is accepted on a GPU, and refused by the memory of WebAssembly', () => {
    const gibibyte = 2 ** 30
    const initializer = ['model.onnx_data', 'model.onnx_data_1', 'model.onnx_data_2'].map((location) => ({
      name: location,
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: [
        { key: 'location', value: location },
        { key: 'length', value: String(2 * gibibyte) },
      ],
    }))
    const large = create(ModelProtoSchema, { graph: { initializer } })
    const gpu = { ...noLimits, maxTensorBytes: 2 * gibibyte }
    expect(() => checkFit(large, cacheTokens, gpu, noSizes)).not.toThrow()
    expect(() =>
      checkFit(large, cacheTokens, { ...noLimits, maxModelBytes: wasmMemoryBytes }, noSizes),
    ).toThrow(
      expect.objectContaining({
        code: 'memory-exceeded',
        details: expect.objectContaining({ neededBytes: 6 * gibibyte, availableBytes: 4 * gibibyte }),
      }),
    )
  })

  it('that exceeds the budget is refused with both sizes', () => {
    const check = () => checkFit(model, cacheTokens, { ...noLimits, maxModelBytes: modelBytes - 1 }, noSizes)
    expect(check).toThrow(
      expect.objectContaining({
        code: 'memory-exceeded',
        details: expect.objectContaining({ neededBytes: modelBytes, availableBytes: modelBytes - 1 }),
        message: expect.stringContaining('the option "memoryBudgetBytes"'),
      }),
    )
  })

  it('with a weight or a cache larger than a buffer is refused, naming it', () => {
    const check = (maxTensorBytes: number) => () =>
      checkFit(model, 1, { ...noLimits, maxTensorBytes }, noSizes)
    expect(check(4999)).toThrow(expect.objectContaining({ message: expect.stringContaining('"embedding"') }))
    const checkCache = () => checkFit(model, cacheTokens, { ...noLimits, maxTensorBytes: 100_000 }, noSizes)
    expect(checkCache).toThrow(
      expect.objectContaining({ message: expect.stringContaining('"past_key_values.0.key"') }),
    )
  })

  it('whose graph does not declare the head size of its cache needs the size from config.json', () => {
    const input = [cacheInput('past_key_values.0.key', tensorTypes.float32, undefined)]
    const symbolic = create(ModelProtoSchema, { graph: { input } })
    const limits = { ...noLimits, maxModelBytes: cacheTokens * 3 * 64 * 4 - 1 }
    const check = () => checkFit(symbolic, cacheTokens, limits, { heads: 3, headSize: 64 })
    expect(check).toThrow(expect.objectContaining({ code: 'memory-exceeded' }))
  })

  it('needs memory for the logits of each conversation', () => {
    const output = [stateInput('logits', tensorTypes.float32, [1, undefined, 1000])]
    const declared = create(ModelProtoSchema, { graph: { output } })
    const check = (maxModelBytes: number) => () =>
      checkFit(declared, cacheTokens, { ...noLimits, maxModelBytes }, noSizes, 8)
    expect(check(8 * 4000)).not.toThrow()
    expect(check(8 * 4000 - 1)).toThrow(expect.objectContaining({ code: 'memory-exceeded' }))
  })

  it.each([
    ['past_conv.0', [1, 256, 3], 256 * 3],
    ['past_recurrent.0', [1, 4, 32, 32], 4 * 32 * 32],
    ['past.0.ssm', [1, 4, 32, 16], 4 * 32 * 16],
    ['past_key_values.0.key_value', [1, undefined, 128], cacheTokens * 128],
  ])('needs memory for the state %s', (name, dims, elements) => {
    const input = [stateInput(name, tensorTypes.float16, dims)]
    const hybrid = create(ModelProtoSchema, { graph: { input } })
    const check = (maxModelBytes: number) => () =>
      checkFit(hybrid, cacheTokens, { ...noLimits, maxModelBytes }, noSizes)
    expect(check(elements * 2)).not.toThrow()
    expect(check(elements * 2 - 1)).toThrow(expect.objectContaining({ code: 'memory-exceeded' }))
  })
})
