import { create, toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import { createMemoryFolder, readContents } from './memory-folder.test-support.js'
import { readModelWeights } from './model-weights.js'
import { ModelProtoSchema, TensorProto_DataLocation } from './onnx_pb.js'

/** Builds a graph with one external tensor in each of these files. */
function buildGraph(locations: readonly (string | undefined)[]): Uint8Array<ArrayBuffer> {
  const initializer = locations.map((location, index) => ({
    name: `weight ${index}`,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: 'offset', value: '0' },
      ...(location === undefined ? [] : [{ key: 'location', value: location }]),
    ],
  }))
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph: { initializer } }))
}

const acceptAll = () => {}
/** A device that computes all variants, of which these are wanted. */
const supports = (dtypes: readonly OnnxDtype[]) => ({ dtypes, unsupported: [] })
const bytes = (...values: number[]) => Uint8Array.from(values)
const refusal = (code: string, message = '') =>
  expect.objectContaining({ name: 'RivuletError', code, message: expect.stringContaining(message) })

describe('the weights', () => {
  it('are the first variant that exists in the folder', async () => {
    const graph = buildGraph([])
    const { folder, requested } = createMemoryFolder({
      'onnx/model_quantized.onnx': graph,
      'onnx/model.onnx': graph,
    })
    const weights = await readModelWeights(folder, supports(['q4f16', 'q4', 'q8', 'fp32']), acceptAll)
    expect(weights).toMatchObject({ dtype: 'q8', graph, externalData: [] })
    // Later variants are not downloaded.
    expect(requested).toEqual(['onnx/model_q4f16.onnx', 'onnx/model_q4.onnx', 'onnx/model_quantized.onnx'])
  })

  it('include each external file once, with the path from the graph', async () => {
    const { folder, requested } = createMemoryFolder({
      'onnx/model_fp16.onnx': buildGraph([
        'model_fp16.onnx_data',
        'more-weights.bin',
        'model_fp16.onnx_data',
      ]),
      'onnx/model_fp16.onnx_data': bytes(1, 2),
      'onnx/more-weights.bin': bytes(3),
    })
    const weights = await readModelWeights(folder, supports(['fp16']), acceptAll)
    expect(readContents(weights)).toEqual([
      { path: 'model_fp16.onnx_data', data: bytes(1, 2) },
      { path: 'more-weights.bin', data: bytes(3) },
    ])
    expect(requested).toHaveLength(3)
  })

  it.each([
    ['q8', ['q4f16', 'q4', 'q8'], 'q8'],
    [{ model: 'q8', embed_tokens: 'q4' }, ['q4f16', 'q4', 'q8'], 'q8'],
    // The device is slow with 16-bit floats, or cannot compute them.
    ['q4f16', ['q4', 'q8', 'q4f16'], 'q4'],
    ['q4f16', ['q4', 'q8'], 'q4'],
    ['other', ['q4f16', 'q4', 'q8'], 'q4f16'],
    [7, ['q4f16', 'q4', 'q8'], 'q4f16'],
  ] as const)(
    'are those that config.json recommends, without other requests: %j of %j',
    async (named, dtypes, dtype) => {
      const graph = buildGraph([])
      const { folder, requested } = createMemoryFolder(
        { 'onnx/model_q4f16.onnx': graph, 'onnx/model_q4.onnx': graph, 'onnx/model_quantized.onnx': graph },
        { 'transformers.js_config': { dtype: named } },
      )
      await expect(readModelWeights(folder, supports(dtypes), acceptAll)).resolves.toMatchObject({ dtype })
      expect(requested).toHaveLength(1)
    },
  )

  it('are found under the name that transformers.js gives each variant', async () => {
    const names = {
      q4f16: 'model_q4f16',
      q4: 'model_q4',
      fp16: 'model_fp16',
      q8: 'model_quantized',
      fp32: 'model',
      int8: 'model_int8',
      uint8: 'model_uint8',
      bnb4: 'model_bnb4',
      q2f16: 'model_q2f16',
      q2: 'model_q2',
      q1f16: 'model_q1f16',
      q1: 'model_q1',
    } satisfies Record<OnnxDtype, string>
    for (const dtype of onnxDtypes) {
      const { folder } = createMemoryFolder({ [`onnx/${names[dtype]}.onnx`]: buildGraph([]) })
      await expect(readModelWeights(folder, supports(onnxDtypes), acceptAll)).resolves.toMatchObject({
        dtype,
      })
    }
  })

  it.each([
    ['model.onnx', undefined, 'model.onnx.data'],
    ['onnx/decoder_q4f16.onnx', 'q4f16', 'onnx/model.onnx.data'],
  ])(
    'are in the file that modelFile names, with its external files beside it: %s',
    async (path, dtype, data) => {
      const { folder, requested } = createMemoryFolder({
        [path]: buildGraph([data.slice(data.lastIndexOf('/') + 1)]),
        [data]: bytes(1),
      })
      const weights = await readModelWeights(folder, supports(['q4']), acceptAll, path)
      expect(weights.dtype).toBe(dtype)
      expect(readContents(weights)).toMatchObject([{ data: bytes(1) }])
      expect(requested).toEqual([path, data])
      await expect(readModelWeights(folder, supports(['q4']), acceptAll, 'other.onnx')).rejects.toEqual(
        refusal('model-not-found', 'has no other.onnx'),
      )
    },
  )

  it('of more than 4 GiB are read from external files in parts', async () => {
    const parts = ['model_q4.onnx_data', 'model_q4.onnx_data_1', 'model_q4.onnx_data_2']
    const { folder, requested } = createMemoryFolder({
      'onnx/model_q4.onnx': buildGraph(parts),
      ...Object.fromEntries(parts.map((part, index) => [`onnx/${part}`, bytes(index)])),
    })
    const { externalData } = await readModelWeights(folder, supports(['q4']), acceptAll)
    expect(externalData.map(({ path }) => path)).toEqual(parts)
    expect(requested).toHaveLength(4)
  })

  it('beyond the first 4 GiB of one external file are refused before the file is requested', async () => {
    const initializer = [
      {
        name: 'late',
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: [
          { key: 'location', value: 'model.onnx.data' },
          { key: 'offset', value: String(2 ** 32 - 4) },
          { key: 'length', value: '8' },
        ],
      },
    ]
    const graph = toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph: { initializer } }))
    const { folder, requested } = createMemoryFolder({ 'onnx/model.onnx': graph })
    await expect(readModelWeights(folder, supports(['fp32']), acceptAll)).rejects.toEqual(
      refusal('model-unsupported', 'external data in several files'),
    )
    expect(requested).toEqual(['onnx/model.onnx'])
  })

  it('inside the graph need no external file', async () => {
    const initializer = [{ name: 'bias', externalData: [{ key: 'location', value: 'ignored' }] }]
    const graph = toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph: { initializer } }))
    const { folder, requested } = createMemoryFolder({ 'onnx/model.onnx': graph })
    await expect(readModelWeights(folder, supports(['fp32']), acceptAll)).resolves.toMatchObject({
      externalData: [],
    })
    expect(requested).toEqual(['onnx/model.onnx'])
  })
})

describe('a folder', () => {
  it('with none of the variants is refused, naming their files', async () => {
    const { folder } = createMemoryFolder({})
    await expect(readModelWeights(folder, supports(['q4', 'fp32']), acceptAll)).rejects.toEqual(
      refusal('model-not-found', 'onnx/model_q4.onnx, onnx/model.onnx'),
    )
  })

  it('with other variants than the wanted one is refused, naming them', async () => {
    const graph = buildGraph([])
    const { folder, requested } = createMemoryFolder({
      'onnx/model.onnx': graph,
      'onnx/model_fp16.onnx': graph,
    })
    await expect(readModelWeights(folder, supports(['q4']), acceptAll)).rejects.toEqual(
      refusal('model-not-found', "It has onnx/model_fp16.onnx, onnx/model.onnx. Use dtype 'fp16' or 'fp32'."),
    )
    expect(requested).toEqual(['onnx/model_q4.onnx', 'onnx/decoder_model_merged_q4.onnx'])
  })

  it('with only 16-bit floats is refused on a device without them, naming its files and what would run', async () => {
    const { folder } = createMemoryFolder({ 'onnx/model_q4f16.onnx': buildGraph([]) })
    const device = { dtypes: ['q4', 'fp32'], unsupported: ['q4f16', 'fp16'] } as const
    const error = await readModelWeights(folder, device, acceptAll).catch((thrown: unknown) => thrown)
    expect(error).toEqual(refusal('backend-unavailable', 'has only onnx/model_q4f16.onnx.'))
    expect(error).toEqual(refusal('backend-unavailable', "Use onnx({ device: 'wasm' })"))
    expect(error).toEqual(refusal('backend-unavailable', 'one of onnx/model_q4.onnx, onnx/model.onnx.'))
  })

  it('without an external file is refused, naming the file', async () => {
    const { folder } = createMemoryFolder({ 'onnx/model_q4.onnx': buildGraph(['model_q4.onnx_data']) })
    await expect(readModelWeights(folder, supports(['q4']), acceptAll)).rejects.toEqual(
      refusal('model-not-found', 'onnx/model_q4.onnx_data'),
    )
  })
})

describe('external data', () => {
  it.each([
    '../secret',
    '..',
    '.',
    '.hidden',
    'a/../../b',
    'sub/weights.bin',
    '/etc/passwd',
    '\\\\host\\share',
    'https://elsewhere.example/weights',
    '//elsewhere.example/weights',
    'data:,x',
    'weights.bin?x=1',
    'weights.bin#x',
    '%2e%2e%2fsecret',
    'weights.bin\n',
    '',
    undefined,
  ])('outside the folder of the graph is refused before it is requested: %j', async (location) => {
    const { folder, requested } = createMemoryFolder({
      'onnx/model.onnx': buildGraph(['weights.bin', location]),
    })
    await expect(readModelWeights(folder, supports(['fp32']), acceptAll)).rejects.toEqual(
      refusal('model-invalid', 'weight 1'),
    )
    expect(requested).toEqual(['onnx/model.onnx'])
  })
})

describe('a broken graph', () => {
  it('is refused if it is truncated at any length', async () => {
    const graph = buildGraph(['weights.bin', 'weights.bin'])
    for (let length = 0; length < graph.byteLength; length += 1) {
      const { folder } = createMemoryFolder({ 'onnx/model.onnx': graph.slice(0, length) })
      await expect(
        readModelWeights(folder, supports(['fp32']), acceptAll),
        `${length} bytes`,
      ).rejects.toEqual(refusal('model-invalid', 'onnx/model.onnx'))
    }
  })

  it.each([
    ['a web page', new TextEncoder().encode('<!doctype html><title>Not found</title>')],
    ['JSON', new TextEncoder().encode('{"error":"missing"}')],
    [
      'a Git LFS pointer',
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'),
    ],
    ['zeros', new Uint8Array(64)],
    ['noise', bytes(0xff, 0xd8, 0xff, 0xe0, 0x12, 0x34, 0x56, 0x78, 0x9a)],
    ['a model without a graph', bytes(0x08, 0x0a)],
  ])('is refused if it is %s', async (_, graph) => {
    const { folder } = createMemoryFolder({ 'onnx/model.onnx': Uint8Array.from(graph) })
    await expect(readModelWeights(folder, supports(['fp32']), acceptAll)).rejects.toEqual(
      refusal('model-invalid', 'onnx/model.onnx'),
    )
  })
})
