import { clone, fromBinary, toBinary } from '@bufbuild/protobuf'
import { beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { AttributeProtoSchema, ModelProtoSchema } from './onnx_pb.js'
import { openDecoder } from './open-decoder.js'
import { prefillAll } from './prefill.test-support.js'
import { greedy } from './sampler.js'
import { loadOnnxRuntime, type OnnxRuntime } from './session.js'

/*
 * Runs the embedded model. The attribute that forbids graph capture is ignored here, so that ONNX Runtime 1.30.0's wrong
 * captured attention windows (microsoft/onnxruntime#32462) show that the check finds them without knowing about them.
 */
vi.mock(import('./rewrite-graph.js'), async (importOriginal) => {
  const original = await importOriginal()
  return {
    ...original,
    rewriteGraph(model, options) {
      const rewrite = original.rewriteGraph(model, options)
      return rewrite.kind === 'rewritten' ? { ...rewrite, cache: 'captured' } : rewrite
    },
  }
})

/** Injects a fault: the kernel that fuses attention gets another scale. */
let isScaleWrong = false
vi.mock(import('./layer-attentions.js'), async (importOriginal) => {
  const original = await importOriginal()
  return {
    ...original,
    readAttentions(graph) {
      const attentions = original.readAttentions(graph)
      return isScaleWrong ? attentions.map((attention) => Object.assign(attention, { scale: 1 })) : attentions
    },
  }
})

const contextLength = 256
const prompt = [1, 88, 541, 528, 262, 1009, 666, 262, 1910, 50, 3, 2]
let file: Uint8Array<ArrayBuffer>

beforeAll(async () => {
  const response = await fetch('/demo/public/models/stories/onnx/model_quantized.onnx')
  file = new Uint8Array(await response.arrayBuffer())
})

/** The embedded model. With a window, the attention of every second layer reads only the last `window` tokens. */
function createWeights(window?: number) {
  const model = fromBinary(ModelProtoSchema, file)
  const attentions = model.graph!.node.filter(({ opType }) => opType === 'GroupQueryAttention')
  for (const [layer, { attribute }] of attentions.entries()) {
    if (window === undefined || layer % 2 === 1) continue
    // A copy of another attribute has the type, which is not in the schema.
    const copy = clone(
      AttributeProtoSchema,
      attribute.find(({ name }) => name === 'num_heads')!,
    )
    attribute.push(Object.assign(copy, { name: 'local_window_size', i: BigInt(window) }))
  }
  const graph = toBinary(ModelProtoSchema, model)
  // Decoded again: the weights must be views of these bytes.
  return { dtype: 'q8', graph, model: fromBinary(ModelProtoSchema, graph), externalData: [] } as const
}

/** Opens the model, and answers a prompt. */
async function load(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  window?: number,
  length: number = contextLength,
) {
  const create = vi.spyOn(runtime.InferenceSession, 'create')
  const reasons: string[] = []
  const decoder = await openDecoder(runtime, device, createWeights(window), {
    contextLength: length,
    conversationCacheBytes: 0,
    cacheSizes: { heads: undefined, headSize: undefined },
    onSession() {},
    onSlower: (reason) => reasons.push(reason),
  })
  const sessions = create.mock.calls.length
  create.mockRestore()
  await prefillAll(decoder, { ids: prompt, promptLength: prompt.length })
  decoder.startAnswer(greedy, 0, prompt, [])
  const tokens: number[] = []
  while (tokens.length < 12) tokens.push(await decoder.next(tokens.length, 0))
  await decoder.release()
  return { execution: decoder.execution, reasons, sessions, tokens }
}

describe('the check at the first load', { timeout: 300_000 }, () => {
  it('finds that captured steps are wrong past the attention window, and later loads remember it', async () => {
    const { tokens } = await load(await loadOnnxRuntime('wasm'), 'wasm', 16)
    const runtime = await loadOnnxRuntime('webgpu')
    const first = await load(runtime, 'webgpu', 16)
    expect(first).toMatchObject({ execution: 'fixed-cache', tokens })
    expect(first.reasons).toEqual([expect.stringMatching(/"fixed-cache".* At 18 tokens, .* differ/)])
    // Both ways, each with the exported graph.
    expect(first.sessions).toBe(4)

    const second = await load(runtime, 'webgpu', 16)
    expect(second).toMatchObject({ execution: 'fixed-cache', tokens, sessions: 1 })
    expect(second.reasons).toEqual([expect.stringContaining('An earlier load found')])
  })

  it('passes if steps are replayed correctly, and later loads do not check again', async () => {
    const { tokens } = await load(await loadOnnxRuntime('wasm'), 'wasm')
    const runtime = await loadOnnxRuntime('webgpu')
    const expected = { execution: 'replayed', reasons: [], tokens }
    expect(await load(runtime, 'webgpu')).toEqual({ ...expected, sessions: 2 })
    expect(await load(runtime, 'webgpu')).toEqual({ ...expected, sessions: 1 })
  })
  it.runIf(inject('isSoak'))('finds that only fused attention is wrong, and replays without it', async () => {
    const { tokens } = await load(await loadOnnxRuntime('wasm'), 'wasm')
    const runtime = await loadOnnxRuntime('webgpu')
    // Another context, since the results of the other test are remembered.
    const loadAgain = () => load(runtime, 'webgpu', undefined, contextLength - 50)
    isScaleWrong = true
    const first = await loadAgain()
    expect(first).toMatchObject({ execution: 'replayed', tokens, sessions: 4 })
    expect(first.reasons).toEqual([expect.stringMatching(/"replayed".* (differ|failed the self-test)/)])
    isScaleWrong = false
    const second = await loadAgain()
    expect(second).toMatchObject({ execution: 'replayed', tokens, sessions: 1 })
    expect(second.reasons).toEqual([expect.stringContaining('An earlier load found')])
  })
})
