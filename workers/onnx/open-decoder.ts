import { fromBinary } from '@bufbuild/protobuf'
import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import { readCacheInputs } from './cache-inputs.js'
import type { Decoder } from './decoder.js'
import { expandWeights } from './expand-weights.js'
import { createGpuDecoder, type GpuModel } from './gpu-decoder.js'
import { createGpuDevice, describeLoss } from './gpu-device.js'
import type { ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { createPlainDecoder } from './plain-decoder.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { createSession, type OnnxRuntime } from './session.js'

/** Tokens of KV cache that every conversation gets; most stay below it. */
export const firstCapacity = 1024

type GraphFiles = Pick<ModelWeights, 'graph' | 'externalData'>
interface LoadLimits extends Pick<GpuModel, 'contextLength' | 'conversationCacheBytes'> {
  /** Called when the weights are where they compute; what is left is to warm up. */
  readonly onSession: () => void
}

/**
 * Opens a model the fastest way that works: a rewritten graph with a fixed cache and captured steps, else without
 * capture, else the graph as it was exported. On WASM, a rewritten graph computes the logits of one position only, and
 * block-quantized weights are tried as f32 first.
 * @throws RivuletError `model-invalid`, `model-unsupported`, `backend-unavailable`
 */
export async function openDecoder(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  weights: ModelWeights,
  limits: LoadLimits,
): Promise<Decoder> {
  const rewrite = rewriteGraph(weights.model)
  const rewritten = rewrite.kind === 'rewritten' && {
    graph: rewrite.bytes,
    externalData: [...weights.externalData, { path: originalFile, data: weights.graph }],
  }
  const ways: (() => Promise<Decoder | undefined>)[] = []
  if (device === 'wasm') ways.push(() => openExpanded(runtime, rewritten || weights, limits))
  if (rewritten && device === 'wasm') ways.push(() => openPlain(runtime, device, rewritten, limits))
  if (rewritten && device === 'webgpu')
    for (const canCapture of [true, false]) ways.push(() => openFixed(runtime, rewritten, limits, canCapture))
  for (const open of ways) {
    // Whatever is wrong: the next way is slower and asks less, and the last one says what it is.
    const decoder = await open().catch(() => undefined)
    if (decoder) return decoder
  }
  return openPlain(runtime, device, weights, limits)
}

/** On WASM, with f32 weights in place of block-quantized ones; undefined where there are none, or too many. */
async function openExpanded(
  runtime: OnnxRuntime,
  { graph, externalData }: GraphFiles,
  limits: LoadLimits,
): Promise<Decoder | undefined> {
  const expansion = expandWeights(fromBinary(ModelProtoSchema, graph), externalData)
  return expansion.kind === 'expanded' ? openPlain(runtime, 'wasm', expansion, limits) : undefined
}

async function openPlain(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  files: GraphFiles,
  { conversationCacheBytes, onSession }: LoadLimits,
): Promise<Decoder> {
  const gpu = device === 'webgpu' ? await createGpuDevice() : undefined
  const target = gpu
    ? ({ kind: 'webgpu', device: gpu, graphCapture: false } as const)
    : ({ kind: 'wasm' } as const)
  const session = await createSession(runtime, target, files)
  onSession()
  const lost = gpu?.lost.then(describeLoss)
  try {
    return await createPlainDecoder(runtime, session, readCacheInputs(session), conversationCacheBytes, lost)
  } catch (error) {
    // The next way needs the memory.
    await session.release()
    gpu?.destroy()
    throw error
  }
}

/** A graph with nodes that run on the CPU cannot be captured: the session says so when it is made. */
async function openFixed(
  runtime: OnnxRuntime,
  files: GraphFiles,
  limits: LoadLimits,
  canCapture: boolean,
): Promise<Decoder> {
  const device = await createGpuDevice()
  try {
    const session = await createSession(runtime, { kind: 'webgpu', device, graphCapture: canCapture }, files)
    limits.onSession()
    const caches = readCacheInputs(session)
    const model = { runtime, device, session, caches, canCapture, firstCapacity, ...limits }
    return await createGpuDecoder({ ...model, ...readLogitsOutput(session) })
  } catch (error) {
    device.destroy()
    throw error
  }
}

/** What a buffer for the logits needs to know. @throws RivuletError `model-unsupported` where the graph leaves it open */
function readLogitsOutput(session: InferenceSession): Pick<GpuModel, 'vocabulary' | 'logitsType'> {
  const logits = session.outputMetadata.find(({ name }) => name === 'logits')
  const vocabulary = logits?.isTensor ? logits.shape.at(-1) : undefined
  const logitsType = logits?.isTensor ? logits.type : undefined
  if (typeof vocabulary === 'number' && (logitsType === 'float32' || logitsType === 'float16')) {
    return { vocabulary, logitsType }
  }
  throw new RivuletError(
    'model-unsupported',
    'The graph does not say how many logits it computes, or in what type.',
  )
}
