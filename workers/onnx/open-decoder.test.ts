import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import { describe, expect, it } from 'vitest'
import type { Decoder } from './decoder.js'
import { parsePastName } from './graph-names.js'
import type { CacheSizes } from './model-config.js'
import {
  ModelProtoSchema,
  TensorProtoSchema,
  type TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  type GraphProto,
} from './onnx_pb.js'
import { openDecoder } from './open-decoder.js'
import { greedy } from './sampler.js'

/* Runs variants of the embedded model on ONNX Runtime's WebAssembly in Node. */

runtime.env.wasm.numThreads = 1

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)
const noSizes: CacheSizes = { heads: undefined, headSize: undefined }
/** As in the model's `config.json`. */
const sizes: CacheSizes = { heads: 2, headSize: 32 }

/** Opens the embedded model after a change to its graph. */
async function open(change: (graph: GraphProto) => void, cacheSizes = noSizes): Promise<Decoder> {
  const changed = fromBinary(ModelProtoSchema, file)
  change(changed.graph!)
  const graph = toBinary(ModelProtoSchema, changed)
  // Decoded again: the weights must be views of these bytes.
  const weights = {
    dtype: 'q8',
    graph,
    model: fromBinary(ModelProtoSchema, graph),
    externalData: [],
  } as const
  return openDecoder(runtime, 'wasm', weights, {
    contextLength: 512,
    conversationCacheBytes: 0,
    cacheSizes,
    onSession: () => {},
  })
}

async function answer(decoder: Decoder): Promise<number[]> {
  const prompt = [1, 88, 541, 528, 262, 1009, 666, 262, 1910, 50, 3, 2]
  await decoder.prefill(prompt)
  decoder.startAnswer(greedy, 0, prompt, [])
  const ids: number[] = []
  while (ids.length < 8) ids.push(await decoder.next(ids.length, true))
  await decoder.release()
  return ids
}

/** Replaces a size of all KV cache tensors by a name, as onnxruntime-genai's model builder 0.18 does for the last one. */
function nameDimension(index: number): (graph: GraphProto) => void {
  return ({ input, output }) => {
    const caches = [...input.filter(({ name }) => parsePastName(name)), ...output.filter(isPresent)]
    for (const { type } of caches) {
      if (type?.value.case !== 'tensorType') continue
      type.value.value.shape!.dim[index] = create(TensorShapeProto_DimensionSchema, {
        value: { case: 'dimParam', value: 'kv_cache_dim' },
      })
    }
  }
}

function isPresent({ name }: { readonly name: string }): boolean {
  return name.startsWith('present.')
}

const refusal = (code: string, message: string) =>
  expect.objectContaining({ name: 'RivuletError', code, message: expect.stringContaining(message) })

describe('a graph that does not declare a size of its KV cache', () => {
  it.each([
    ['the number of heads', 1],
    ['the head size', 3],
  ])('generates the same tokens with %s from config.json', async (_, index) => {
    const expected = await answer(await open(() => {}))
    expect(await answer(await open(nameDimension(index), sizes))).toEqual(expected)
  })

  it('is refused if config.json does not have it either', async () => {
    await expect(open(nameDimension(3))).rejects.toEqual(refusal('model-unsupported', 'head size'))
  })

  it('is refused if config.json contradicts a size that the graph declares', async () => {
    await expect(open(nameDimension(3), { heads: 4, headSize: 16 })).rejects.toEqual(
      refusal('model-invalid', 'config.json does not match the graph'),
    )
  })

  it('is refused if config.json has another size than the weights', async () => {
    await expect(open(nameDimension(3), { ...sizes, headSize: 16 })).rejects.toEqual(
      refusal('model-unsupported', 'GroupQueryAttention'),
    )
  })
})

it('a graph that only the first run shows to be unsupported is refused with a hint', async () => {
  // Newer exports normalize queries and keys inside the attention, which ONNX Runtime's CPU kernel cannot.
  const fuseNorms = ({ node, initializer }: GraphProto) => {
    const ones = new Uint8Array(Float32Array.from({ length: sizes.headSize! }, () => 1).buffer)
    const dims = [BigInt(sizes.headSize!)]
    // FLOAT: the schema declares only the types that the library writes.
    const dataType = 1 as TensorProto_DataType
    initializer.push(create(TensorProtoSchema, { name: 'norm', dims, dataType, rawData: ones }))
    for (const { opType, input } of node) {
      if (opType !== 'GroupQueryAttention') continue
      while (input.length < 14) input.push('')
      input.push('norm', 'norm')
    }
  }
  await expect(open(fuseNorms)).rejects.toEqual(refusal('model-unsupported', "onnx({ device: 'webgpu' })"))
})
