import { create, toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { onnxDtypes } from '../../lib/contract/onnx-options.js'
import { createMemoryFolder, readContents } from './memory-folder.test-support.js'
import { readModelWeights } from './model-weights.js'
import { ModelProtoSchema, TensorProto_DataLocation } from './onnx_pb.js'

/** Builds a graph with these inputs and outputs, and one external tensor in each of these files. */
function buildGraph(
  inputs: readonly string[],
  outputs: readonly string[],
  locations: readonly string[] = [],
): Uint8Array<ArrayBuffer> {
  const initializer = locations.map((location, index) => ({
    name: `weight ${index}`,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [{ key: 'location', value: location }],
  }))
  const named = (names: readonly string[]) => names.map((name) => ({ name }))
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { graph: { input: named(inputs), output: named(outputs), initializer } }),
  )
}

const decoder = buildGraph(['inputs_embeds'], ['logits'])
const embedding = buildGraph(['input_ids'], ['inputs_embeds'])
const all = { dtypes: onnxDtypes, unsupported: [] }
/** A graphics adapter without 16-bit floats. */
const float32 = { dtypes: ['q4', 'q8', 'fp32'], unsupported: ['q4f16', 'fp16'] } as const

/** Reads a model of graphs without weights. @returns the graph files that are used */
async function find(paths: readonly string[], device: Parameters<typeof readModelWeights>[1] = all) {
  const { folder, found } = createMemoryFolder(
    Object.fromEntries(
      paths.map((path) => [path, path.includes('embed_tokens') ? embedding : decoder] as const),
    ),
  )
  const { dtype } = await readModelWeights(folder, device, () => {})
  return { dtype, found }
}

const refusal = (code: string, message: string) =>
  expect.objectContaining({ name: 'RivuletError', code, message: expect.stringContaining(message) })

describe('the graphs of a split model', () => {
  it.each([
    [
      'of the same dtype if there are several',
      ['decoder_model_merged_q4', 'embed_tokens', 'embed_tokens_q4', 'embed_tokens_fp16'],
      'q4',
      'embed_tokens_q4',
    ],
    [
      'the smallest one that is more precise',
      ['decoder_model_merged_q4', 'embed_tokens', 'embed_tokens_q4f16', 'embed_tokens_fp16'],
      'q4',
      'embed_tokens_fp16',
    ],
    [
      'otherwise the most precise one',
      ['decoder_model_merged_fp16', 'embed_tokens_q4', 'embed_tokens_quantized'],
      'fp16',
      'embed_tokens_quantized',
    ],
    [
      'by the best dtype of the decoder, not of the embedding',
      ['decoder_model_merged_quantized', 'decoder_model_merged', 'embed_tokens_q4f16', 'embed_tokens'],
      'q8',
      'embed_tokens',
    ],
  ])('are the decoder and an embedding: %s', async (_, names, dtype, embeddingName) => {
    expect(await find(names.map((name) => `onnx/${name}.onnx`))).toEqual({
      dtype,
      found: [`onnx/${names[0]}.onnx`, `onnx/${embeddingName}.onnx`],
    })
  })

  it('are searched only if the folder has no model in one graph', async () => {
    const { folder, requested } = createMemoryFolder({
      'onnx/model.onnx': buildGraph(['input_ids'], ['logits']),
      'onnx/decoder_model_merged_q4.onnx': decoder,
      'onnx/embed_tokens_q4.onnx': embedding,
    })
    expect((await readModelWeights(folder, all, () => {})).dtype).toBe('fp32')
    expect(requested).not.toContain('onnx/decoder_model_merged_q4.onnx')
  })

  it('are one graph if the decoder reads token ids', async () => {
    const path = 'onnx/decoder_model_merged.onnx'
    const { folder, found } = createMemoryFolder({
      [path]: buildGraph(['input_ids'], ['logits']),
      'onnx/embed_tokens.onnx': embedding,
    })
    await readModelWeights(folder, all, () => {})
    expect(found).toEqual([path])
  })

  it('are read with the external files of both, each once', async () => {
    const bytes = (value: number) => Uint8Array.of(value)
    const { folder, requested } = createMemoryFolder({
      'onnx/decoder_model_merged_q4.onnx': buildGraph(
        ['inputs_embeds'],
        ['logits'],
        ['decoder_model_merged_q4.onnx_data', 'decoder_model_merged_q4.onnx_data_1', 'shared'],
      ),
      'onnx/embed_tokens_q4.onnx': buildGraph(
        ['input_ids'],
        ['inputs_embeds'],
        ['embed_tokens_q4.onnx_data', 'shared'],
      ),
      'onnx/decoder_model_merged_q4.onnx_data': bytes(1),
      'onnx/decoder_model_merged_q4.onnx_data_1': bytes(2),
      'onnx/embed_tokens_q4.onnx_data': bytes(3),
      'onnx/shared': bytes(4),
    })
    const checked: string[] = []
    const weights = await readModelWeights(folder, { dtypes: ['q4'], unsupported: [] }, ({ graph }) => {
      // The check comes before the external files and gets the weights of both graphs.
      expect(requested.filter((path) => !path.endsWith('.onnx'))).toEqual([])
      checked.push(...graph!.initializer.map(({ name }) => name))
    })
    expect(checked).toHaveLength(5)
    expect(weights.dtype).toBe('q4')
    expect(readContents(weights).toSorted((a, b) => a.data[0]! - b.data[0]!)).toEqual([
      { path: 'decoder_model_merged_q4.onnx_data', data: bytes(1) },
      { path: 'decoder_model_merged_q4.onnx_data_1', data: bytes(2) },
      { path: 'embed_tokens_q4.onnx_data', data: bytes(3) },
      { path: 'shared', data: bytes(4) },
    ])
    expect(new Set(requested).size).toBe(requested.length)
  })
})

describe('a folder is refused', () => {
  it('if it has only an encoder, naming it', async () => {
    const error = await find(['onnx/vision_encoder_q4.onnx']).catch((thrown: unknown) => thrown)
    expect(error).toEqual(
      refusal('model-not-found', 'has onnx/vision_encoder_q4.onnx, but none of the files'),
    )
    expect(error).toEqual(refusal('model-not-found', 'or onnx/decoder_model_merged*.onnx'))
  })

  it('if it has only an embedding', async () => {
    await expect(find(['onnx/embed_tokens_q4.onnx'])).rejects.toEqual(
      refusal('model-not-found', 'has onnx/embed_tokens_q4.onnx, but none of the files'),
    )
  })

  it('if it has a decoder without its embedding', async () => {
    await expect(find(['onnx/decoder_model_merged_q4.onnx', 'onnx/vision_encoder_q4.onnx'])).rejects.toEqual(
      refusal('model-not-found', 'has onnx/decoder_model_merged_q4.onnx, which needs onnx/embed_tokens_q4'),
    )
  })

  it('if it has the embedding only in 16-bit floats, and the device has none', async () => {
    await expect(
      find(['onnx/decoder_model_merged_q4.onnx', 'onnx/embed_tokens_fp16.onnx'], float32),
    ).rejects.toEqual(refusal('backend-unavailable', 'The folder has only onnx/embed_tokens_fp16.onnx'))
  })

  it('if it has a split model in another dtype, naming the file', async () => {
    await expect(
      find(['onnx/decoder_model_merged.onnx', 'onnx/embed_tokens.onnx'], { dtypes: ['q4'], unsupported: [] }),
    ).rejects.toEqual(refusal('model-not-found', "It has onnx/decoder_model_merged.onnx. Use dtype 'fp32'."))
  })
})
