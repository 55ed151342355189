import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { beforeAll, expect, it } from 'vitest'
import type { Decoder } from './decoder.js'
import { createMemoryFolder } from './memory-folder.test-support.js'
import { readModelWeights, type ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { openDecoder } from './open-decoder.js'
import { leaveWeightsInFile } from './rewrite-graph.js'
import { greedy } from './sampler.js'
import { loadOnnxRuntime } from './session.js'
import { splitModel, type SplitOptions } from './split-model.test-support.js'

/* Runs the embedded model, split into two graphs, on WebGPU. The reference is the model in one graph on WASM. */

const prompt = [1, 88, 541, 528, 262, 1009, 666, 262, 1910, 50, 3, 2]
const answerTokens = 8

let file: Uint8Array<ArrayBuffer>
let expected: readonly number[]

beforeAll(async () => {
  const response = await fetch('/demo/public/models/stories/onnx/model_quantized.onnx')
  file = new Uint8Array(await response.arrayBuffer())
  const whole = {
    dtype: 'q8',
    graph: file,
    model: fromBinary(ModelProtoSchema, file),
    externalData: [],
  } as const
  const decoder = await open('wasm', whole)
  expected = await answer(decoder)
  await decoder.release()
})

async function open(device: 'wasm' | 'webgpu', weights: ModelWeights): Promise<Decoder> {
  return openDecoder(await loadOnnxRuntime(device), device, weights, {
    contextLength: 512,
    conversationCacheBytes: 2 ** 20,
    cacheSizes: { heads: undefined, headSize: undefined },
    onSession: () => {},
  })
}

function readSplit(options: SplitOptions): Promise<ModelWeights> {
  const { embedding, decoder } = splitModel(file, options)
  // As in most split models, the weights of the decoder are in an external file: here, they stay at their offsets.
  const dataFile = 'decoder_model_merged_quantized.onnx_data'
  const model = fromBinary(ModelProtoSchema, decoder)
  leaveWeightsInFile(model.graph!, dataFile)
  const { folder } = createMemoryFolder({
    'onnx/decoder_model_merged_quantized.onnx': toBinary(ModelProtoSchema, model),
    [`onnx/${dataFile}`]: decoder,
    'onnx/embed_tokens.onnx': embedding,
  })
  return readModelWeights(folder, { dtypes: ['q8'], unsupported: [] }, () => {})
}

/** Answers the prompt after the part of it that is in the cache. */
async function answer(decoder: Decoder): Promise<number[]> {
  await decoder.prefill(prompt.slice(decoder.recall(prompt.slice(0, -1))))
  decoder.startAnswer(greedy, 0, prompt, [])
  const ids: number[] = []
  while (ids.length < answerTokens) ids.push(await decoder.next(ids.length, 1))
  return ids
}

it('a split model on WebGPU generates the tokens of the model in one graph by replay', async () => {
  // With an embedding of another version, and with the inputs of each layer.
  const decoder = await open('webgpu', await readSplit({ version: 21n, hasPerLayerInputs: true }))
  expect(decoder.execution).toBe('replayed')
  expect(await answer(decoder)).toEqual(expected)
  expect(decoder.recall(prompt)).toBe(prompt.length)
  expect(await answer(decoder)).toEqual(expected)
  await decoder.release()
}, 300_000)
