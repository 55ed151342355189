import type { InferenceSession } from 'onnxruntime-web'
import { readCacheInputs } from './cache-inputs.js'
import type { Decoder } from './decoder.js'
import { createGpuDecoder, type GpuModel } from './gpu-decoder.js'
import { createGpuDevice } from './gpu-device.js'
import type { ModelWeights } from './model-weights.js'
import { createPlainDecoder } from './plain-decoder.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { createSession, type OnnxRuntime } from './session.js'

/** Tokens of KV cache that every conversation gets; most stay below it. */
const firstCapacity = 1024

/**
 * Opens a model the fastest way that works: a rewritten graph with a fixed cache and captured steps, else without
 * capture, else the graph as it was exported. On WASM, a rewritten graph computes the logits of one position only.
 * @throws RivuletError `model-invalid`, `model-unsupported`, `backend-unavailable`
 */
export async function openDecoder(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  weights: ModelWeights,
  { contextLength, conversationCacheBytes }: Pick<GpuModel, 'contextLength' | 'conversationCacheBytes'>,
): Promise<Decoder> {
  const rewrite = rewriteGraph(weights.model)
  const rewritten = rewrite.kind === 'rewritten' && {
    graph: rewrite.bytes,
    externalData: [...weights.externalData, { path: originalFile, data: weights.graph }],
  }
  if (device === 'wasm') {
    const session = await createSession(runtime, { kind: 'wasm' }, rewritten || weights)
    return createPlainDecoder(runtime, session, readCacheInputs(session), conversationCacheBytes)
  }
  const gpu = await createGpuDevice()
  if (!rewritten) {
    const session = await createSession(
      runtime,
      { kind: 'webgpu', device: gpu, graphCapture: false },
      weights,
    )
    return createPlainDecoder(runtime, session, readCacheInputs(session), conversationCacheBytes)
  }
  const { session, canCapture } = await openGpuSession(runtime, gpu, rewritten)
  const caches = readCacheInputs(session)
  const logits = readLogitsOutput(session)
  if (!logits) return createPlainDecoder(runtime, session, caches, conversationCacheBytes)
  const parts = { runtime, device: gpu, session, caches, canCapture, ...logits }
  return createGpuDecoder({ ...parts, contextLength, firstCapacity, conversationCacheBytes })
}

/** What a buffer for the logits needs to know; undefined where the graph leaves it open. */
function readLogitsOutput(
  session: InferenceSession,
): Pick<GpuModel, 'vocabulary' | 'logitsType'> | undefined {
  const logits = session.outputMetadata.find(({ name }) => name === 'logits')
  if (!logits?.isTensor) return undefined
  const vocabulary = logits.shape.at(-1)
  const { type } = logits
  if (typeof vocabulary !== 'number' || (type !== 'float32' && type !== 'float16')) return undefined
  return { vocabulary, logitsType: type }
}

/** A graph with nodes that run on the CPU cannot be captured: the session says so when it is made. */
async function openGpuSession(
  runtime: OnnxRuntime,
  device: GPUDevice,
  files: Pick<ModelWeights, 'graph' | 'externalData'>,
): Promise<{ session: InferenceSession; canCapture: boolean }> {
  try {
    const session = await createSession(runtime, { kind: 'webgpu', device, graphCapture: true }, files)
    return { session, canCapture: true }
  } catch {
    const session = await createSession(runtime, { kind: 'webgpu', device, graphCapture: false }, files)
    return { session, canCapture: false }
  }
}
