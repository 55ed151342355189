import { fromBinary } from '@bufbuild/protobuf'
import type { InferenceSession } from 'onnxruntime-web'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCacheInputs } from './cache-inputs.js'
import type { Decoder } from './decoder.js'
import { createGpuDecoder } from './gpu-decoder.js'
import { createGpuDevice } from './gpu-device.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { createPlainDecoder } from './plain-decoder.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { greedy, type Sampling } from './sampler.js'
import { createSession, loadOnnxRuntime, type OnnxRuntime } from './session.js'

/*
 * The embedded model, really run: each way to run a decoder gives the same greedy tokens. The reference is the graph as
 * it was exported, on WASM, its prompt in one piece.
 */

const contextLength = 512
const steps = 40
/** Where the way matters and not its length: a software adapter takes a third of a second a token. */
const fewSteps = 12
const conversationCacheBytes = 2 ** 20
/** In the embedded model's chat template: "Tell me a story about a dragon.", "I want a story with a cat and a ball." */
const prompts = {
  dragon: [1, 88, 541, 528, 262, 1009, 666, 262, 1910, 50, 3, 2],
  ball: [1, 77, 373, 262, 1009, 332, 262, 474, 270, 262, 501, 50, 3, 2],
}
type PromptName = keyof typeof prompts

let graph: Uint8Array<ArrayBuffer>
let wasm: OnnxRuntime
let reference: Record<PromptName, number[]>

beforeAll(async () => {
  const response = await fetch('/demo/public/models/stories/onnx/model_quantized.onnx')
  graph = new Uint8Array(await response.arrayBuffer())
  wasm = await loadOnnxRuntime('wasm')
  const session = await createSession(wasm, { kind: 'wasm' }, { graph, externalData: [] })
  expect(session.inputNames).toContain('attention_mask')
  const decoder = await createPlainDecoder(wasm, session, readCacheInputs(session), conversationCacheBytes)
  reference = { dragon: await answer(decoder, prompts.dragon), ball: await answer(decoder, prompts.ball) }
  await decoder.release()
})

function rewriteModel() {
  const rewrite = rewriteGraph(fromBinary(ModelProtoSchema, graph))
  if (rewrite.kind === 'unchanged') throw new Error(rewrite.reason)
  return { graph: rewrite.bytes, externalData: [{ path: originalFile, data: graph }] }
}

async function openOnWasm(): Promise<Decoder> {
  const session = await createSession(wasm, { kind: 'wasm' }, rewriteModel())
  expect(session.inputNames).not.toContain('attention_mask')
  return createPlainDecoder(wasm, session, readCacheInputs(session), conversationCacheBytes)
}

async function openOnGpu({
  canCapture = true,
  firstCapacity = contextLength,
  failsToCapture = false,
} = {}): Promise<Decoder> {
  const runtime = await loadOnnxRuntime('webgpu')
  const device = await createGpuDevice()
  const session = await createSession(
    runtime,
    { kind: 'webgpu', device, graphCapture: canCapture },
    rewriteModel(),
  )
  if (failsToCapture) failCapturedRuns(session)
  const caches = readCacheInputs(session)
  return createGpuDecoder({
    runtime,
    device,
    session,
    caches,
    vocabulary: 2048,
    logitsType: 'float32',
    contextLength,
    firstCapacity,
    conversationCacheBytes,
    canCapture,
  })
}

/** An injected fault: runs that ONNX Runtime would capture fail, as on a device or a version where it cannot. */
function failCapturedRuns(session: InferenceSession): void {
  const run = session.run.bind(session) as (...args: unknown[]) => Promise<unknown>
  Object.assign(session, {
    run: (...args: readonly [unknown, unknown, InferenceSession.RunOptions]) => {
      const extra = args[2].extra as { readonly gpu_graph_id: string }
      return extra.gpu_graph_id === '-1' ? run(...args) : Promise.reject(new Error('no capture here'))
    },
  })
}

interface AnswerOptions {
  /** Tokens of the prompt that may come from the cache. */
  readonly keep?: number
  /** Tokens of the prompt that are computed at a time. */
  readonly chunk?: number
  readonly count?: number
  readonly continues?: boolean
  readonly sampling?: Sampling
}

/** The first tokens of the answer to a prompt. */
async function answer(
  decoder: Decoder,
  prompt: readonly number[],
  { keep = 0, chunk = Infinity, count = steps, continues = true, sampling = greedy }: AnswerOptions = {},
): Promise<number[]> {
  const kept = decoder.recall(prompt.slice(0, keep))
  for (let start = kept; start < prompt.length; start += chunk)
    await decoder.prefill(prompt.slice(start, start + chunk))
  decoder.startAnswer(sampling, 7, prompt, [])
  const ids: number[] = []
  while (ids.length < count) ids.push(await decoder.next(ids.length, continues))
  return ids
}

describe('on WASM the same tokens come', () => {
  let decoder: Decoder
  beforeAll(async () => {
    decoder = await openOnWasm()
  })

  it('from the rewritten graph', async () => {
    expect(await answer(decoder, prompts.dragon)).toEqual(reference.dragon)
  })

  it('from a prompt in chunks', async () => {
    expect(await answer(decoder, prompts.dragon, { chunk: 5 })).toEqual(reference.dragon)
  })

  it('behind a cache that was cut back to the beginning of the prompt', async () => {
    await answer(decoder, prompts.dragon)
    expect(await answer(decoder, prompts.dragon, { keep: 7 })).toEqual(reference.dragon)
    expect(await answer(decoder, prompts.ball, { keep: 1 })).toEqual(reference.ball)
  })

  it('when an earlier conversation is taken up again', async () => {
    await takeUpAgain(decoder, steps / 2)
  })
})

/** Leaves a conversation half-way for another one, and goes on with it. */
async function takeUpAgain(decoder: Decoder, half: number): Promise<void> {
  const begun = [...prompts.dragon, ...reference.dragon.slice(0, half)]
  decoder.recall([])
  await decoder.prefill(begun)
  await answer(decoder, prompts.ball, { keep: 1, count: 8 })
  // All but the last, which the answer begins with.
  expect(decoder.recall(begun.slice(0, -1))).toBe(begun.length - 1)
  await decoder.prefill(begun.slice(-1))
  decoder.startAnswer(greedy, 0, prompts.dragon, begun.slice(prompts.dragon.length))
  for (const [position, id] of reference.dragon.slice(half).entries())
    expect(await decoder.next(position, true)).toBe(id)
}

/** The text computed in one piece. */
async function readLogitsBehind(decoder: Decoder, text: readonly number[]): Promise<Float32Array> {
  decoder.recall([])
  await decoder.prefill(text)
  decoder.startAnswer(greedy, 0, text, [])
  await decoder.next(0, false)
  return decoder.readLogits()
}

describe('on WebGPU the same tokens come', { timeout: 300_000 }, () => {
  describe('replayed', () => {
    let decoder: Decoder
    beforeAll(async () => {
      decoder = await openOnGpu({ firstCapacity: 16 })
    }, 300_000)
    afterAll(() => decoder.release())

    it('from replayed dispatches while the cache grows, and behind one that was cut back', async () => {
      expect(decoder.execution).toBe('replayed')
      const twiceGrown = reference.dragon.slice(0, 24)
      expect(await answer(decoder, prompts.dragon, { count: 24 })).toEqual(twiceGrown)
      const options = { keep: 1, chunk: 3, count: fewSteps }
      expect(await answer(decoder, prompts.ball, options)).toEqual(reference.ball.slice(0, fewSteps))
      await takeUpAgain(decoder, steps - 8)
    })

    it('whether or not the next step is begun before a token is here, sampled too', async () => {
      const sampling = { ...greedy, temperature: 1.2, topK: 40, repetitionPenalty: 1.1 }
      const sample = (continues: boolean) =>
        answer(decoder, prompts.dragon, { sampling, continues, count: fewSteps })
      const likeliest = reference.dragon.slice(0, fewSteps)
      const alone = await sample(false)
      expect(alone).not.toEqual(likeliest)
      expect(await sample(true)).toEqual(alone)
      const options = { continues: false, count: fewSteps }
      expect(await answer(decoder, prompts.dragon, options)).toEqual(likeliest)
    })

    it('after an answer that was left with a step on its way', async () => {
      for (const left of [1, 2]) {
        await answer(decoder, prompts.ball, { count: left })
        // What was said is in the cache but for the step that nobody came for.
        expect(decoder.recall([...prompts.ball, ...reference.ball])).toBe(prompts.ball.length + left)
        expect(await answer(decoder, prompts.dragon, { count: 8 })).toEqual(reference.dragon.slice(0, 8))
      }
    })
  })

  it('from runs without capture, and the same logits for prompts of any length', async () => {
    const decoder = await openOnGpu({ canCapture: false })
    expect(decoder.execution).toBe('fixed-cache')
    const options = { count: fewSteps }
    expect(await answer(decoder, prompts.dragon, options)).toEqual(reference.dragon.slice(0, fewSteps))
    const onWasm = await openOnWasm()
    const text = [...prompts.dragon, ...reference.dragon]
    // ONNX Runtime has another kernel for 32 tokens and more.
    for (const length of [prompts.dragon.length, 31, 32, text.length]) {
      const [logits, expected] = [
        await readLogitsBehind(decoder, text.slice(0, length)),
        await readLogitsBehind(onWasm, text.slice(0, length)),
      ]
      expect(logits).toHaveLength(2048)
      expect(Math.max(...logits.map((logit, id) => Math.abs(logit - expected[id]!)))).toBeLessThan(1e-3)
    }
    await decoder.release()
  })

  it('from the graph as it was exported', async () => {
    const runtime = await loadOnnxRuntime('webgpu')
    const device = await createGpuDevice()
    const target = { kind: 'webgpu', device, graphCapture: false } as const
    const session = await createSession(runtime, target, { graph, externalData: [] })
    const decoder = await createPlainDecoder(
      runtime,
      session,
      readCacheInputs(session),
      conversationCacheBytes,
    )
    const options = { count: 8 }
    expect(await answer(decoder, prompts.dragon, options)).toEqual(reference.dragon.slice(0, 8))
    await decoder.release()
    device.destroy()
  })

  it('without replay where capture fails', async () => {
    const decoder = await openOnGpu({ failsToCapture: true })
    expect(decoder.execution).toBe('fixed-cache')
    await decoder.prefill(prompts.dragon)
    decoder.startAnswer(greedy, 0, prompts.dragon, [])
    const ids = [await decoder.next(0, true), await decoder.next(1, true), await decoder.next(2, false)]
    expect(ids).toEqual(reference.dragon.slice(0, 3))
    await decoder.release()
  })
})
