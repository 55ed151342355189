import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import { describe, expect, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OpenFile } from '../store/readable-file.js'
import { addConvState } from './conv-state.test-support.js'
import type { Decoder } from './decoder.js'
import { createNode } from './graph-edit.js'
import { graphInputs, parsePastName } from './graph-names.js'
import { createGrowingCacheDecoder } from './growing-cache-decoder.js'
import type { CacheSizes } from './model-config.js'
import {
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  type GraphProto,
} from './onnx_pb.js'
import { openDecoder } from './open-decoder.js'
import { prefillAll } from './prefill.test-support.js'
import { leaveWeightsInFile } from './rewrite-graph.js'
import { addRotarySwitch, rotateOutside } from './rotary-variants.test-support.js'
import { greedy } from './sampler.js'
import { createSession } from './session.js'
import { readStateSchema } from './state-schema.js'

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
  while (ids.length < 8) ids.push(await decoder.next(ids.length, 1))
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

/** Generates with the graph as exported. */
async function answerAsExported(change: (graph: GraphProto) => void, prompt: readonly number[]) {
  const changed = fromBinary(ModelProtoSchema, file)
  change(changed.graph!)
  const graph = toBinary(ModelProtoSchema, changed)
  const session = await createSession(runtime, { kind: 'wasm' }, { graph, externalData: [] })
  const schema = readStateSchema(session, noSizes)
  const rules = { wholePrompt: false, rotarySwitch: Infinity }
  const decoder = await createGrowingCacheDecoder(runtime, session, schema, 0, rules)
  return answerAfter(decoder, prompt)
}

async function answerAfter(decoder: Decoder, prompt: readonly number[]): Promise<number[]> {
  await decoder.prefill(prompt)
  decoder.startAnswer(greedy, 0, prompt, [])
  const ids: number[] = []
  while (ids.length < 12) ids.push(await decoder.next(ids.length, 1))
  await decoder.release()
  return ids
}

describe('a rewritten graph generates the tokens of the exported one', () => {
  const prompt = [1, 77, 373, 262, 1009, 332, 262, 474, 270, 262, 501, 50, 3, 2]
  it.each<[string, (graph: GraphProto) => void]>([
    ['with positions as an input', rotateOutside],
    ['with a state of fixed size', addConvState],
    ['when an answer passes the rotary switch', (graph) => addRotarySwitch(graph, prompt.length + 3)],
    ['beyond the rotary switch', (graph) => addRotarySwitch(graph, 10)],
  ])('%s', async (_, change) => {
    const expected = await answerAsExported(change, prompt)
    expect(expected).not.toEqual(await answerAsExported(() => {}, prompt))
    expect(await answerAfter(await open(change), prompt)).toEqual(expected)
  })
})

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

/** Rounds the inputs of all matrix products to 8 bits, with one scale for all tokens of a run, as Optimum's `q8` does. */
function quantizeActivations({ node }: GraphProto): void {
  for (const product of node.filter(({ opType }) => opType === 'MatMul')) {
    const [activation = ''] = product.input
    const name = product.output[0]!
    const quantized = [`${name}.quantized`, `${name}.scale`, `${name}.zero`]
    const rounded = [`${name}.rounded`]
    node.splice(
      node.indexOf(product),
      0,
      create(NodeProtoSchema, { opType: 'DynamicQuantizeLinear', input: [activation], output: quantized }),
      create(NodeProtoSchema, { opType: 'DequantizeLinear', input: quantized, output: rounded }),
    )
    product.input.splice(0, 1, ...rounded)
  }
}

const rotarySwitch = 150

/** Uses other rotary factors above a total length, as longrope does. */
function switchRotaryFactors({ node, initializer }: GraphProto): void {
  const addConstant = (name: string, value: bigint) =>
    initializer.push(
      create(TensorProtoSchema, {
        name,
        dataType: TensorProto_DataType.INT64,
        rawData: new Uint8Array(BigInt64Array.of(value).buffer),
      }),
    )
  addConstant('switch.axis', 1n)
  addConstant('switch.length', BigInt(rotarySwitch))
  const operations = [
    { opType: 'Shape', input: [graphInputs.attentionMask], output: ['switch.shape'] },
    { opType: 'Gather', input: ['switch.shape', 'switch.axis'], output: ['switch.total'] },
    { opType: 'Greater', input: ['switch.total', 'switch.length'], output: ['switch.is_long'] },
    { opType: 'Where', input: ['switch.is_long', 'sin_cache', 'cos_cache'], output: ['switch.cos'] },
  ]
  for (const { input } of node)
    for (const [index, name] of input.entries()) if (name === 'cos_cache') input[index] = 'switch.cos'
  node.unshift(...operations.map((operation) => create(NodeProtoSchema, operation)))
}

describe('each prompt gives the same answer, whatever was computed before', () => {
  const draw = (length: number) => Array.from({ length }, (_, index) => (index * 389 + 7) % 2048)
  /**
   * The long prompt starts with the short one. Both have more tokens than one chunk. The answer to the short one passes the
   * rotary switch.
   */
  const [short, long] = [draw(145), draw(300)] as const
  const answerLength = 12

  /** Generates the rest of an answer. @returns its tokens, and the logits of the last one */
  async function continueAnswer(decoder: Decoder, prompt: readonly number[], start: readonly number[]) {
    decoder.startAnswer(greedy, 0, prompt, start)
    const ids = [...start]
    while (ids.length < answerLength) ids.push(await decoder.next(ids.length, 0))
    return { ids, logits: await decoder.readLogits() }
  }

  async function generate(decoder: Decoder, prompt: readonly number[], start: readonly number[]) {
    const input = { ids: [...prompt, ...start], promptLength: prompt.length }
    const cached = await prefillAll(decoder, input)
    return { cached, ...(await continueAnswer(decoder, prompt, start)) }
  }

  /** As a plain loop computes it: the whole prompt in one run, then token by token. */
  async function generatePlainly(change: (graph: GraphProto) => void, prompt: readonly number[]) {
    const decoder = await open(change)
    await decoder.prefill(prompt)
    const result = await continueAnswer(decoder, prompt, [])
    await decoder.release()
    return result
  }

  it.each([
    ['if activations are quantized with one scale for each run', quantizeActivations, 0],
    ['if the rotary factors depend on the total length', switchRotaryFactors, short.length - 1],
  ])('%s', async (_, change, reusable) => {
    const expected = {
      short: await generatePlainly(change, short),
      long: await generatePlainly(change, long),
    }
    const decoder = await open(change)
    const differences = async (name: 'short' | 'long', answered: number) => {
      const { ids, logits } = expected[name]
      const prompt = { short, long }[name]
      const actual = await generate(decoder, prompt, ids.slice(0, answered))
      expect(actual.ids).toEqual(ids)
      return Math.max(...actual.logits.map((logit, index) => Math.abs(logit - logits[index]!)))
    }
    for (const answered of [0, 0, answerLength - 2]) {
      expect(await differences('long', answered)).toBeLessThan(0.001)
      expect(await differences('short', answered)).toBeLessThan(0.001)
    }
    expect((await generate(decoder, short, [])).cached).toBe(reusable)
    expect((await generate(decoder, long, [])).cached).toBe(0)
    await decoder.release()
  })
})

it('a graph that only the first run shows to be unsupported is refused with a hint', async () => {
  // Norms of queries and keys, packed into one input. ONNX Runtime's CPU kernel cannot compute them.
  const fuseNorms = ({ node, initializer }: GraphProto) => {
    const ones = new Uint8Array(Float32Array.from({ length: sizes.headSize! }, () => 1).buffer)
    const dims = [BigInt(sizes.headSize!)]
    // FLOAT: the schema declares only the types that the library writes.
    const dataType = 1 as TensorProto_DataType
    initializer.push(create(TensorProtoSchema, { name: 'norm', dims, dataType, rawData: ones }))
    for (const attention of node.filter(({ opType }) => opType === 'GroupQueryAttention')) {
      const packed = `${attention.output[0]}.packed`
      const concat = createNode('Concat', attention.input.slice(0, 3), [packed], { axis: -1n })
      node.splice(node.indexOf(attention), 0, concat)
      attention.input.splice(0, 3, packed, '', '')
      while (attention.input.length < 14) attention.input.push('')
      attention.input.push('norm', 'norm')
    }
  }
  await expect(open(fuseNorms)).rejects.toEqual(refusal('model-unsupported', "onnx({ device: 'webgpu' })"))
})

describe('weights in an open file', () => {
  async function openExternal(readInto: OpenFile['readInto']) {
    const model = fromBinary(ModelProtoSchema, file)
    // The weights stay at their offsets.
    leaveWeightsInFile(model.graph!, 'weights')
    const graph = toBinary(ModelProtoSchema, model)
    const data = { byteLength: file.length, readInto }
    const weights = {
      dtype: 'q8',
      graph,
      model: fromBinary(ModelProtoSchema, graph),
      externalData: [{ path: 'weights', data }],
    } as const
    return openDecoder(runtime, 'wasm', weights, {
      contextLength: 512,
      conversationCacheBytes: 0,
      cacheSizes: noSizes,
      onSession: () => {},
    })
  }

  it('are those of the model, and each is read once into a small part of the memory of the file', async () => {
    let readBytes = 0
    const buffers = new Set<ArrayBuffer>()
    const decoder = await openExternal((target, at) => {
      readBytes += target.length
      buffers.add(target.buffer)
      target.set(file.subarray(at, at + target.length))
    })
    const expected = await open(() => {})
    expect(await answer(decoder)).toEqual(await answer(expected))
    expect(readBytes).toBeLessThan(file.length)
    expect([...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(file.length / 4)
  })

  it('that cannot be read fail the load at once: no slower way is tried', async () => {
    let reads = 0
    const opening = openExternal(() => {
      reads += 1
      throw new RivuletError('download-failed', 'The file was changed.')
    })
    await expect(opening).rejects.toMatchObject({ code: 'download-failed', message: 'The file was changed.' })
    expect(reads).toBe(1)
  })
})
