import { create, toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import type { ModelFolder } from '../store/model-folder.js'
import { readModelWeights } from './model-weights.js'
import { ModelProtoSchema, TensorProto_DataLocation } from './onnx_pb.js'

/** A stand-in for a folder on a server: its files in memory, and a list of what was asked for. */
function createMemoryFolder(files: Record<string, Uint8Array<ArrayBuffer>>) {
  const asked: string[] = []
  const folder: ModelFolder = {
    url: 'https://example.com/model/',
    async readBytes(path) {
      asked.push(path)
      return files[path]
    },
    readJson: () => Promise.reject(new Error('Weights are no JSON.')),
    readText: () => Promise.reject(new Error('Weights are no text.')),
  }
  return { folder, asked }
}

/** A graph whose only tensors lie in these files. */
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
const bytes = (...values: number[]) => Uint8Array.from(values)
const refusal = (code: string, message = '') =>
  expect.objectContaining({ name: 'RivuletError', code, message: expect.stringContaining(message) })

describe('the weights', () => {
  it('are the first variant that the folder has', async () => {
    const graph = buildGraph([])
    const { folder, asked } = createMemoryFolder({
      'onnx/model_quantized.onnx': graph,
      'onnx/model.onnx': graph,
    })
    const weights = await readModelWeights(folder, ['q4f16', 'q4', 'q8', 'fp32'], acceptAll)
    expect(weights).toMatchObject({ dtype: 'q8', graph, externalData: [] })
    // Nothing behind it is downloaded.
    expect(asked).toEqual(['onnx/model_q4f16.onnx', 'onnx/model_q4.onnx', 'onnx/model_quantized.onnx'])
  })

  it('come with every external file once, under the graph’s own names', async () => {
    const { folder, asked } = createMemoryFolder({
      'onnx/model_fp16.onnx': buildGraph([
        'model_fp16.onnx_data',
        'more-weights.bin',
        'model_fp16.onnx_data',
      ]),
      'onnx/model_fp16.onnx_data': bytes(1, 2),
      'onnx/more-weights.bin': bytes(3),
    })
    const { externalData } = await readModelWeights(folder, ['fp16'], acceptAll)
    expect(externalData).toEqual([
      { path: 'model_fp16.onnx_data', data: bytes(1, 2) },
      { path: 'more-weights.bin', data: bytes(3) },
    ])
    expect(asked).toHaveLength(3)
  })

  it('inside the graph need no other file', async () => {
    const initializer = [{ name: 'bias', externalData: [{ key: 'location', value: 'ignored' }] }]
    const graph = toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph: { initializer } }))
    const { folder, asked } = createMemoryFolder({ 'onnx/model.onnx': graph })
    await expect(readModelWeights(folder, ['fp32'], acceptAll)).resolves.toMatchObject({ externalData: [] })
    expect(asked).toEqual(['onnx/model.onnx'])
  })
})

describe('a folder', () => {
  it('with none of the variants is refused by their names', async () => {
    const { folder } = createMemoryFolder({})
    await expect(readModelWeights(folder, ['q4', 'fp32'], acceptAll)).rejects.toEqual(
      refusal('model-not-found', 'onnx/model_q4.onnx, onnx/model.onnx'),
    )
  })

  it('without an external file is refused by its name', async () => {
    const { folder } = createMemoryFolder({ 'onnx/model_q4.onnx': buildGraph(['model_q4.onnx_data']) })
    await expect(readModelWeights(folder, ['q4'], acceptAll)).rejects.toEqual(
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
  ])('outside the graph’s own folder is refused before it is asked for: %j', async (location) => {
    const { folder, asked } = createMemoryFolder({ 'onnx/model.onnx': buildGraph(['sound.bin', location]) })
    await expect(readModelWeights(folder, ['fp32'], acceptAll)).rejects.toEqual(
      refusal('model-invalid', 'weight 1'),
    )
    expect(asked).toEqual(['onnx/model.onnx'])
  })
})

describe('a broken graph', () => {
  it('that is cut short anywhere is refused', async () => {
    const graph = buildGraph(['weights.bin', 'weights.bin'])
    for (let length = 0; length < graph.byteLength; length += 1) {
      const { folder } = createMemoryFolder({ 'onnx/model.onnx': graph.slice(0, length) })
      await expect(readModelWeights(folder, ['fp32'], acceptAll), `${length} bytes`).rejects.toEqual(
        refusal('model-invalid', 'onnx/model.onnx'),
      )
    }
  })

  it.each([
    ['a web page', new TextEncoder().encode('<!doctype html><title>Not found</title>')],
    ['JSON', new TextEncoder().encode('{"error":"gone"}')],
    [
      'a Git LFS pointer',
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'),
    ],
    ['zeros', new Uint8Array(64)],
    ['noise', bytes(0xff, 0xd8, 0xff, 0xe0, 0x12, 0x34, 0x56, 0x78, 0x9a)],
    ['a model without a graph', bytes(0x08, 0x0a)],
  ])('that is %s is refused', async (_, graph) => {
    const { folder } = createMemoryFolder({ 'onnx/model.onnx': Uint8Array.from(graph) })
    await expect(readModelWeights(folder, ['fp32'], acceptAll)).rejects.toEqual(
      refusal('model-invalid', 'onnx/model.onnx'),
    )
  })
})
