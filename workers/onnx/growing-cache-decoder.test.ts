import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Decoder } from './decoder.js'
import { parsePastName } from './graph-names.js'
import { createGrowingCacheDecoder } from './growing-cache-decoder.js'
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  TensorProto_DataType,
  ValueInfoProtoSchema,
  type AttributeProtoSchema,
  type GraphProto,
} from './onnx_pb.js'
import { greedy } from './sampler.js'
import { createSession } from './session.js'
import { readPrefillRules } from './prefill-rules.js'
import { readStateSchema } from './state-schema.js'
import { tensorTypes } from './tensor-types.js'

/* Runs the embedded model with other states on ONNX Runtime's WebAssembly in Node. */

runtime.env.wasm.numThreads = 1

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)
const vocabulary = 2048
const answerTokens = 6

/**
 * Adds a state that every token changes and that changes every logit: the sum of all token ids. The logits are right only
 * if the state has computed exactly the tokens in the KV cache.
 */
function addState({ node, input, output, initializer }: GraphProto): void {
  for (const { output: names } of node)
    if (names.includes('logits')) names.splice(names.indexOf('logits'), 1, 'logits_before')
  initializer.push(
    create(TensorProtoSchema, {
      name: 'phases',
      dims: [BigInt(vocabulary)],
      dataType: tensorTypes.float32,
      rawData: new Uint8Array(Float32Array.from({ length: vocabulary }, (_, id) => id).buffer),
    }),
  )
  const to = { name: 'to', i: BigInt(tensorTypes.float32), type: AttributeProto_AttributeType.INT }
  node.push(
    create(NodeProtoSchema, { opType: 'Cast', input: ['input_ids'], output: ['ids'], attribute: [to] }),
    create(NodeProtoSchema, { opType: 'ReduceSum', input: ['ids'], output: ['sum'] }),
    create(NodeProtoSchema, { opType: 'Add', input: ['past_conv.0', 'sum'], output: ['present_conv.0'] }),
    create(NodeProtoSchema, { opType: 'Add', input: ['present_conv.0', 'phases'], output: ['angles'] }),
    create(NodeProtoSchema, { opType: 'Sin', input: ['angles'], output: ['waves'] }),
    create(NodeProtoSchema, { opType: 'Add', input: ['logits_before', 'waves'], output: ['logits'] }),
  )
  const dim = [{ value: { case: 'dimParam' as const, value: 'batch_size' } }, one]
  const type = {
    value: { case: 'tensorType' as const, value: { elemType: tensorTypes.float32, shape: { dim } } },
  }
  input.push(create(ValueInfoProtoSchema, { name: 'past_conv.0', type }))
  output.push(create(ValueInfoProtoSchema, { name: 'present_conv.0', type }))
}

const one = { value: { case: 'dimValue' as const, value: 1n } }

async function open(
  conversationCacheBytes = 2 ** 24,
  change: (graph: GraphProto) => void = () => {},
  add = addState,
): Promise<Decoder> {
  const model = fromBinary(ModelProtoSchema, file)
  add(model.graph!)
  change(model.graph!)
  const session = await createSession(
    runtime,
    { kind: 'wasm' },
    { graph: toBinary(ModelProtoSchema, model), externalData: [] },
  )
  const schema = readStateSchema(session, { heads: undefined, headSize: undefined })
  return createGrowingCacheDecoder(runtime, session, schema, conversationCacheBytes, readPrefillRules(model))
}

interface Answer {
  readonly reused: number
  readonly tokens: readonly number[]
  /** After the last token. */
  readonly logits: Float32Array
}

/** Answers as `generateTokens` does. */
async function answer(decoder: Decoder, prompt: readonly number[]): Promise<Answer> {
  const reused = decoder.recall(prompt.slice(0, -1))
  await decoder.prefill(prompt.slice(reused))
  decoder.startAnswer(greedy, 0, prompt, [])
  const tokens: number[] = []
  while (tokens.length < answerTokens) tokens.push(await decoder.next(tokens.length, 0))
  return { reused, tokens, logits: await decoder.readLogits() }
}

/** Other seeds share no prefix. */
function createIds(length: number, seed: number): number[] {
  return Array.from({ length }, (_, index) => 3 + ((seed * 101 + index * 37) % 2000))
}

const int64 = (name: string, values: readonly number[]) =>
  create(TensorProtoSchema, {
    name,
    dims: [BigInt(values.length)],
    dataType: TensorProto_DataType.INT64,
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  })

/**
 * Replaces the two cache tensors of each layer, [batch, 2 heads, length, 32], by one tensor, [batch, length, 128], as in
 * exports of GPT-BigCode.
 */
function packCaches(graph: GraphProto): void {
  const packedSize = 2 * headShape[0] * headShape[1]
  graph.initializer.push(
    // 0 keeps the size of a dimension.
    int64('heads', [0, 0, ...headShape]),
    int64('no_heads', [0, 0, packedSize / 2]),
    int64('halves', [packedSize / 2, packedSize / 2]),
  )
  const transpose = { name: 'perm', ints: [0n, 2n, 1n, 3n], type: AttributeProto_AttributeType.INTS }
  const lastAxis = { name: 'axis', i: 2n, type: AttributeProto_AttributeType.INT }
  const add = (
    opType: string,
    input: string[],
    output: string[],
    attribute: MessageInitShape<typeof AttributeProtoSchema>[] = [],
  ) => create(NodeProtoSchema, { opType, input, output, attribute })
  const layers = graph.input.flatMap(({ name }) => (parsePastName(name)?.part === 'key' ? [name] : []))
  for (const [layer] of layers.entries()) {
    const [past, present] = [`past_key_values.${layer}`, `present.${layer}`]
    const parts = ['key', 'value']
    graph.node.unshift(
      add(
        'Split',
        [`${past}.key_value`, 'halves'],
        parts.map((part) => `${past}.${part}.flat`),
        [lastAxis],
      ),
      ...parts.flatMap((part) => [
        add('Reshape', [`${past}.${part}.flat`, 'heads'], [`${past}.${part}.split`]),
        add('Transpose', [`${past}.${part}.split`], [`${past}.${part}`], [transpose]),
      ]),
    )
    graph.node.push(
      ...parts.flatMap((part) => [
        add('Transpose', [`${present}.${part}`], [`${present}.${part}.split`], [transpose]),
        add('Reshape', [`${present}.${part}.split`, 'no_heads'], [`${present}.${part}.flat`]),
      ]),
      add(
        'Concat',
        parts.map((part) => `${present}.${part}.flat`),
        [`${present}.key_value`],
        [lastAxis],
      ),
    )
    const type = createPackedType(BigInt(packedSize))
    graph.input.push(create(ValueInfoProtoSchema, { name: `${past}.key_value`, type }))
    graph.output.push(create(ValueInfoProtoSchema, { name: `${present}.key_value`, type }))
  }
  const isSplit = ({ name }: { readonly name: string }) => /\.(key|value)$/.test(name)
  graph.input = graph.input.filter((value) => !isSplit(value))
  graph.output = graph.output.filter((value) => !isSplit(value))
}

const headShape = [2, 32] as const

function createPackedType(size: bigint) {
  const dim = [
    { value: { case: 'dimParam' as const, value: 'batch_size' } },
    { value: { case: 'dimParam' as const, value: 'past_length' } },
    { value: { case: 'dimValue' as const, value: size } },
  ]
  return {
    value: { case: 'tensorType' as const, value: { elemType: tensorTypes.float32, shape: { dim } } },
  }
}

describe('a model with one cache tensor for keys and values', () => {
  const openPlain = (change?: (graph: GraphProto) => void) => open(2 ** 24, change, () => {})

  it('generates the tokens of the model with two, also after its cache is truncated', async () => {
    const [packed, plain] = [await openPlain(packCaches), await openPlain()]
    const prompt = createIds(60, 13)
    for (const each of [prompt, [...prompt.slice(0, 40), ...createIds(20, 14)]]) {
      const expected = await answer(plain, each)
      const actual = await answer(packed, each)
      expect(actual.reused).toBe(expected.reused)
      expect(actual.tokens).toEqual(expected.tokens)
    }
    await packed.release()
    await plain.release()
  })

  it('is refused if its size is not declared', async () => {
    const hideSize = (graph: GraphProto) => {
      packCaches(graph)
      const type = graph.input.at(-1)!.type!.value
      if (type.case === 'tensorType') type.value.shape!.dim[2]!.value = { case: 'dimParam', value: 'size' }
    }
    await expect(openPlain(hideSize)).rejects.toMatchObject({
      code: 'model-unsupported',
      message: expect.stringContaining('.key_value" is not [batch, length, size]'),
    })
  })

  it('is refused if the state has an unknown name, naming it', async () => {
    const rename = (graph: GraphProto) => {
      packCaches(graph)
      const input = graph.input.find(({ name }) => name === 'past_key_values.0.key_value')!
      input.name = 'past_key_values.0.latent'
      for (const node of graph.node)
        node.input = node.input.map((name) => (name === 'past_key_values.0.key_value' ? input.name : name))
    }
    await expect(openPlain(rename)).rejects.toMatchObject({
      code: 'model-unsupported',
      message: expect.stringContaining('its state "past_key_values.0.latent" has an unknown layout'),
    })
  })
})

/** Copies the states of a prompt. */
async function copyStates(decoder: Decoder, prompt: readonly number[]) {
  const { ids, sizes, read } = decoder.copyStates(prompt)
  const pieces: Uint8Array<ArrayBuffer>[] = []
  for await (const piece of read()) pieces.push(piece.slice())
  expect(pieces.map(({ byteLength }) => byteLength)).toEqual(sizes)
  return { ids, pieces }
}

describe('copied states', () => {
  it.each([
    ['with keys and values', (bytes: number) => open(bytes, undefined, () => {}), 60],
    ['with one tensor for keys and values', (bytes: number) => open(bytes, packCaches, () => {}), 60],
    // Up to the checkpoint.
    ['with a state of fixed size', open, 51],
  ])('continue in another decoder, %s', async (_, openModel, length) => {
    // The second one keeps no earlier conversations.
    const [first, second] = [await openModel(2 ** 24), await openModel(0)]
    const prompt = createIds(60, 17)
    const follow = [...prompt, ...createIds(10, 18)]
    const expected = await answer(second, follow)
    await first.prefill(prompt.slice(first.recall(prompt.slice(0, -1))))
    const { ids, pieces } = await copyStates(first, prompt)
    expect(ids).toHaveLength(length)
    second.recall([])
    second.restoreStates(ids, pieces)
    const actual = await answer(second, follow)
    expect(actual.reused).toBe(length)
    expect(actual.tokens).toEqual(expected.tokens)
    expect(second.stateFormat).toBe(first.stateFormat)
    await first.release()
    await second.release()
  })
})

describe('the logits of a computed prompt', () => {
  it('are used again until another token is computed', async () => {
    const decoder = await open(2 ** 24, undefined, () => {})
    const prompt = createIds(40, 19)
    const { tokens } = await answer(decoder, prompt)
    expect(decoder.recallLogits(prompt)).toBe(false)
    decoder.recall([])
    await decoder.prefill(prompt)
    expect(decoder.recallLogits(prompt.slice(0, -1))).toBe(false)
    expect(decoder.recallLogits([...prompt, 3])).toBe(false)
    for (const _ of [1, 2]) {
      expect(decoder.recallLogits(prompt)).toBe(true)
      decoder.startAnswer(greedy, 0, prompt, [])
      // The token is sampled, and not computed.
      expect(await decoder.next(0, 0)).toBe(tokens[0])
    }
    expect(decoder.recall(prompt.slice(0, -1))).toBe(prompt.length - 1)
    expect(decoder.recallLogits(prompt.slice(0, -1))).toBe(false)
    await decoder.release()
  })
})

describe('a model with a state of fixed size', () => {
  const promptTokens = 60
  /** Before the last tokens of a prompt. */
  const checkpoint = 51
  let decoder: Decoder
  /** Without checkpoints. */
  let fresh: Decoder

  beforeAll(async () => {
    decoder = await open()
    fresh = await open(0)
  })

  afterAll(async () => {
    await decoder.release()
    await fresh.release()
  })

  /** Expects the tokens and the logits of a decoder that computes the whole prompt. @returns the tokens */
  async function expectAnswer(prompt: readonly number[], reused: number): Promise<readonly number[]> {
    fresh.recall([])
    const expected = await answer(fresh, prompt)
    expect(expected.reused).toBe(0)
    const actual = await answer(decoder, prompt)
    expect(actual.reused).toBe(reused)
    expect(actual.tokens).toEqual(expected.tokens)
    const distances = actual.logits.map((logit, id) => Math.abs(logit - expected.logits[id]!))
    expect(Math.max(...distances)).toBeLessThan(0.01)
    return actual.tokens
  }

  it('continues at the end of its answer in a follow-up', async () => {
    const prompt = createIds(promptTokens, 1)
    const tokens = await expectAnswer(prompt, 0)
    // The last token is not computed.
    await expectAnswer([...prompt, ...tokens, ...createIds(40, 2)], promptTokens + answerTokens - 1)
  })

  it('answers the same prompt again from its checkpoint, more than once', async () => {
    const prompt = createIds(promptTokens, 3)
    await expectAnswer(prompt, 0)
    await expectAnswer(prompt, checkpoint)
    await expectAnswer(prompt, checkpoint)
  })

  it('continues at the checkpoint of the prompt if the follow-up has another answer', async () => {
    const prompt = createIds(promptTokens, 4)
    await expectAnswer(prompt, 0)
    await expectAnswer([...prompt, ...createIds(40, 5)], checkpoint)
  })

  it('computes a prompt from its start if it differs before the checkpoint', async () => {
    const prompt = createIds(promptTokens, 6)
    await expectAnswer(prompt, 0)
    await expectAnswer(prompt.with(checkpoint - 1, 7), 0)
  })

  it('continues an earlier conversation at the end of each of its answers', async () => {
    const prompt = createIds(promptTokens, 7)
    const tokens = await expectAnswer(prompt, 0)
    const answered = [...prompt, ...tokens]
    await expectAnswer([...answered, ...createIds(40, 8)], answered.length - 1)
    await expectAnswer(createIds(promptTokens, 9), 0)
    await expectAnswer([...answered, ...createIds(40, 10)], answered.length - 1)
  })

  it('keeps no checkpoint that exceeds the budget', async () => {
    const prompt = createIds(promptTokens, 11)
    const { tokens } = await answer(fresh, prompt)
    expect((await answer(fresh, [...prompt, ...tokens, 5])).reused).toBe(promptTokens + answerTokens - 1)
    expect((await answer(fresh, prompt)).reused).toBe(0)
  })

  it('computes the same logits for a prompt in chunks', async () => {
    const prompt = createIds(promptTokens, 12)
    fresh.recall([])
    const whole = await answer(fresh, prompt)
    fresh.recall([])
    for (const start of [0, 20, 40]) await fresh.prefill(prompt.slice(start, start + 20))
    fresh.startAnswer(greedy, 0, prompt, [])
    expect(await fresh.next(0, 0)).toBe(whole.tokens[0])
  })
})

it.each([
  ['has no output for its next value', 'present_conv.0', (graph: GraphProto) => graph.output.pop()],
  [
    'has no declared size',
    'past_conv.0',
    (graph: GraphProto) => {
      const type = graph.input.at(-1)!.type!.value
      if (type.case === 'tensorType') type.value.shape!.dim.pop()
    },
  ],
])('a state that %s is refused', async (_, name, change) => {
  await expect(open(0, change)).rejects.toMatchObject({
    code: 'model-unsupported',
    message: expect.stringContaining(`"${name}"`),
  })
})
