import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import { describe, expect, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { Decoder } from './decoder.js'
import { embeddingsInput, graphInputs } from './graph-names.js'
import { mergeGraphs, type GraphFile } from './merge-graphs.js'
import { createRandom, mutateBytes } from './mutate.test-support.js'
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
} from './onnx_pb.js'
import { openDecoder } from './open-decoder.js'
import { greedy } from './sampler.js'
import { splitModel, type SplitOptions } from './split-model.test-support.js'

/* Splits the embedded model into two graphs, merges them, and runs the result on ONNX Runtime's WebAssembly in Node. */

runtime.env.wasm.numThreads = 1

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)

function readFile(path: string, bytes: Uint8Array<ArrayBuffer>): GraphFile {
  return { path, bytes, model: fromBinary(ModelProtoSchema, bytes) }
}

/** Splits the embedded model. @param change changes the two graphs before they are written */
function split(options?: SplitOptions, change = (_embedding: ModelProto, _decoder: ModelProto) => {}) {
  const { embedding, decoder } = splitModel(file, options)
  const models = [embedding, decoder].map((bytes) => fromBinary(ModelProtoSchema, bytes))
  change(models[0]!, models[1]!)
  const written = models.map((model) => toBinary(ModelProtoSchema, model))
  return [
    readFile('onnx/embed_tokens_quantized.onnx', written[0]!),
    readFile('onnx/decoder_model_merged_quantized.onnx', written[1]!),
  ] as const
}

type Weights = Parameters<typeof openDecoder>[2]

function open(weights: Omit<Weights, 'dtype'>): Promise<Decoder> {
  return openDecoder(
    runtime,
    'wasm',
    { dtype: 'q8', ...weights },
    {
      contextLength: 512,
      conversationCacheBytes: 0,
      cacheSizes: { heads: undefined, headSize: undefined },
      onSession: () => {},
    },
  )
}

async function answer(decoder: Decoder): Promise<number[]> {
  const prompt = [1, 88, 541, 528, 262, 1009, 666, 262, 1910, 50, 3, 2]
  await decoder.prefill(prompt)
  decoder.startAnswer(greedy, 0, prompt, [])
  const ids: number[] = []
  while (ids.length < 8) ids.push(await decoder.next(ids.length, 1))
  await decoder.release()
  return ids
}

const refusal = (code: string, message: string) =>
  expect.objectContaining({ name: 'RivuletError', code, message: expect.stringContaining(message) })

/** TensorProto.BOOL of onnx.proto3. */
const boolType = 9
const graphOf = ({ graph }: ModelProto): GraphProto => graph!
const createInput = (name: string) => create(ValueInfoProtoSchema, { name })

describe('a split model generates the tokens of the model in one graph', () => {
  it.each<[string, SplitOptions]>([
    ['with both graphs of the same version', {}],
    ['with an embedding of a lower version', { version: 13n }],
    ['with an embedding of a higher version', { version: 21n }],
    ['with embeddings in 16-bit floats', { isFloat16: true }],
    ['with the inputs of each layer', { hasPerLayerInputs: true }],
  ])('%s', async (_, options) => {
    const whole = await open({ graph: file, model: fromBinary(ModelProtoSchema, file), externalData: [] })
    const expected = await answer(whole)
    expect(await answer(await open(mergeGraphs(...split(options))))).toEqual(expected)
  })

  it('if its embedding computes a value in the graph of a node', async () => {
    const files = split({}, (embedding) => {
      const graph = graphOf(embedding)
      graph.node.at(-1)!.output = ['computed']
      graph.initializer.push(
        create(TensorProtoSchema, { name: 'yes', dataType: boolType, rawData: Uint8Array.of(1) }),
      )
      const branch = {
        name: 'branch',
        node: [{ opType: 'Identity', input: ['computed'], output: ['branch'] }],
        output: [{ ...graph.output[0], name: 'branch' }],
      }
      const type = AttributeProto_AttributeType.GRAPH
      const attribute = ['then_branch', 'else_branch'].map((name) => ({ name, g: branch, type }))
      graph.node.push(
        create(NodeProtoSchema, { opType: 'If', input: ['yes'], output: [embeddingsInput], attribute }),
      )
    })
    const expected = await answer(await open(mergeGraphs(...split())))
    expect(await answer(await open(mergeGraphs(...files)))).toEqual(expected)
  })
})

describe('the merged graph', () => {
  it('leaves the large weights in the two files', () => {
    const [embedding, decoder] = split()
    const { graph, externalData } = mergeGraphs(embedding, decoder)
    expect(externalData.map(({ path }) => path)).toEqual([
      'embed_tokens_quantized.onnx',
      'decoder_model_merged_quantized.onnx',
    ])
    expect(externalData[0]!.data).toBe(embedding.bytes)
    expect(externalData[1]!.data).toBe(decoder.bytes)
    expect(graph.byteLength).toBeLessThan(100_000)
  })

  it('reads token ids instead of embeddings', () => {
    const { model } = mergeGraphs(...split())
    const names = model.graph!.input.map(({ name }) => name)
    expect(names).toContain(graphInputs.tokenIds)
    expect(names).not.toContain(embeddingsInput)
  })
})

describe('the version of the operators', () => {
  it.each([
    ['is the higher one if both graphs keep their meaning', 21n, 17n, 'Pow', 21n],
    ['is the decoder’s if it is the higher one', 13n, 17n, 'ReduceMean', 17n],
    ['is the decoder’s if its operators changed in between', 21n, 17n, 'ReduceMean', 17n],
    ['is the higher one if its operators changed before', 21n, 18n, 'ReduceMean', 21n],
  ])('%s', (_, version, decoderVersion, opType, expected) => {
    const files = split({ version }, (_embedding, decoder) => {
      decoder.opsetImport.find(({ domain }) => domain === '')!.version = decoderVersion
      graphOf(decoder).node.push(create(NodeProtoSchema, { opType, input: ['x'], output: ['y'] }))
    })
    const { model } = mergeGraphs(...files)
    expect(model.opsetImport.filter(({ domain }) => domain === '')).toMatchObject([{ version: expected }])
  })
})

describe('two graphs that are not a split model are refused:', () => {
  it.each<[string, string, string, (embedding: ModelProto, decoder: ModelProto) => void]>([
    [
      'the embedding reads more than token ids',
      'model-unsupported',
      'embed_tokens_quantized.onnx: it has the unknown input "image_features"',
      (embedding) => graphOf(embedding).input.push(createInput('image_features')),
    ],
    [
      'the embedding reads no token ids',
      'model-unsupported',
      'it has no input "input_ids"',
      (embedding) => (graphOf(embedding).input = []),
    ],
    [
      'the embedding has another output',
      'model-unsupported',
      'it has no output "inputs_embeds" for onnx/decoder_model_merged_quantized.onnx',
      (embedding) => (graphOf(embedding).output[0]!.name = 'embeddings'),
    ],
    [
      'the embedding has another size',
      'model-invalid',
      '"inputs_embeds" has 100 values per token in the first, and 192 in the second',
      (embedding) => {
        const type = graphOf(embedding).output[0]!.type!.value
        if (type.case === 'tensorType')
          type.value.shape!.dim.at(-1)!.value = { case: 'dimValue', value: 100n }
      },
    ],
    [
      'the versions of their operators are too far apart',
      'model-unsupported',
      'it uses version 12 of the operators "ai.onnx", but onnx/decoder_model_merged_quantized.onnx uses version 18',
      (embedding) => (embedding.opsetImport[0]!.version = 12n),
    ],
  ])('%s', (_, code, message, change) => {
    expect(() => mergeGraphs(...split({}, change))).toThrow(refusal(code, message))
  })

  it('the decoder reads something that the embedding does not compute', async () => {
    const [embedding] = split()
    const [, decoder] = split({ hasPerLayerInputs: true })
    await expect(open(mergeGraphs(embedding, decoder))).rejects.toEqual(
      refusal('model-unsupported', 'it has the unknown input "per_layer_inputs"'),
    )
  })

  it('the embedding is damaged, which ends with an error code or in a merged graph', () => {
    const [embedding, decoder] = split()
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 200; seed += 1) {
      try {
        const damaged = Uint8Array.from(mutateBytes(embedding.bytes, createRandom(seed), 2000))
        mergeGraphs(readFile(embedding.path, damaged), readFile(decoder.path, decoder.bytes))
        outcomes.add('merged')
      } catch (error) {
        // The decoder of the format refuses some files before the merge. `findGraphs` reports those.
        outcomes.add(error instanceof RivuletError ? error.code : 'not decoded')
      }
    }
    expect(outcomes).toContain('merged')
    expect(outcomes).toContain('model-unsupported')
  })
})
