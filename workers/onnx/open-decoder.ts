import { fromBinary } from '@bufbuild/protobuf'
import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import type { Decoder } from './decoder.js'
import { expandWeights } from './expand-weights.js'
import { createGpuDecoder, type GpuModel } from './gpu-decoder.js'
import { createGpuDevice, describeLoss } from './gpu-device.js'
import { logitsOutput } from './graph-names.js'
import type { CacheSizes } from './model-config.js'
import type { ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { createGrowingCacheDecoder } from './growing-cache-decoder.js'
import { readPrefillRules } from './prefill-rules.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { createRefusal, createSession, type OnnxRuntime } from './session.js'
import { readStateSchema } from './state-schema.js'

/** The initial capacity of the KV cache, in tokens. Most conversations are shorter. */
export const firstCapacity = 1024

type GraphFiles = Pick<ModelWeights, 'graph' | 'externalData'> & Partial<Pick<GpuModel, 'rotaryTables'>>
type RewrittenFiles = GraphFiles & Pick<GpuModel, 'hasScoreMatrix' | 'rotaryTables'>

interface DecoderOptions extends Pick<GpuModel, 'contextLength' | 'conversationCacheBytes'> {
  readonly cacheSizes: CacheSizes
  /** Called when the weights are loaded and only the warm-up remains. */
  readonly onSession: () => void
}

type OpeningOptions = DecoderOptions & Pick<GpuModel, 'prefillRules'>

/**
 * Opens a model in the fastest way that works. It tries these ways, in this order:
 * - On WebGPU: the rewritten graph with a fixed KV cache and graph capture, if the graph can be captured; the same without
 *   graph capture; the rewritten graph with a growing cache, if its cache cannot be fixed; the graph as exported.
 * - On WASM: the graph with its block-quantized weights expanded to f32; the rewritten graph, which computes the logits of
 *   only one position; the graph as exported.
 *
 * @throws RivuletError `model-invalid`, `model-unsupported`, `backend-unavailable`
 */
export async function openDecoder(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  weights: ModelWeights,
  decoderOptions: DecoderOptions,
): Promise<Decoder> {
  // Read the rules before the rewrite, because the rewrite modifies the graph.
  const prefillRules = readPrefillRules(weights.model)
  const options: OpeningOptions = {
    ...decoderOptions,
    prefillRules,
    // Without prefix reuse, the KV caches of earlier conversations are useless.
    ...(prefillRules.wholePrompt && { conversationCacheBytes: 0 }),
  }
  const rewrite = rewriteGraph(weights.model, {
    device,
    contextLength: options.contextLength,
    cacheSizes: options.cacheSizes,
    rotarySwitch: prefillRules.rotarySwitch,
  })
  const rewritten = rewrite.kind === 'rewritten' && {
    ...rewrite,
    graph: rewrite.bytes,
    externalData: [...weights.externalData, { path: originalFile, data: weights.graph }],
  }
  const ways: (() => Promise<Decoder | undefined>)[] = []
  if (device === 'wasm') ways.push(() => openExpanded(runtime, rewritten || weights, options))
  if (rewritten && device === 'webgpu' && rewritten.cache !== 'growing')
    for (const canCapture of rewritten.cache === 'captured' ? [true, false] : [false])
      ways.push(() => openFixedCache(runtime, rewritten, options, canCapture))
  else if (rewritten) ways.push(() => openGrowingCache(runtime, device, rewritten, options))
  for (const open of ways) {
    // Ignores all errors: the next way requires less of the device, and the last way reports its error.
    const decoder = await open().catch(() => undefined)
    if (decoder) return decoder
  }
  return openGrowingCache(runtime, device, weights, options)
}

/**
 * Opens the graph on WASM with its block-quantized weights expanded to f32. Returns undefined if the graph has no such
 * weights, or if the expanded weights would be too large.
 */
async function openExpanded(
  runtime: OnnxRuntime,
  files: GraphFiles,
  options: OpeningOptions,
): Promise<Decoder | undefined> {
  const expansion = expandWeights(fromBinary(ModelProtoSchema, files.graph), files.externalData)
  return expansion.kind === 'expanded'
    ? openGrowingCache(runtime, 'wasm', { ...files, ...expansion }, options)
    : undefined
}

async function openGrowingCache(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  files: GraphFiles,
  { cacheSizes, conversationCacheBytes, prefillRules, onSession }: OpeningOptions,
): Promise<Decoder> {
  const gpu = device === 'webgpu' ? await createGpuDevice() : undefined
  const target = gpu
    ? ({ kind: 'webgpu', device: gpu, graphCapture: false } as const)
    : ({ kind: 'wasm' } as const)
  const session = await createSession(runtime, target, files)
  onSession()
  const lost = gpu?.lost.then(describeLoss)
  try {
    return await createGrowingCacheDecoder(
      runtime,
      session,
      readStateSchema(session, cacheSizes),
      conversationCacheBytes,
      prefillRules,
      files.rotaryTables,
      lost,
    )
  } catch (error) {
    // Free the memory, because the next way needs it.
    await session.release()
    gpu?.destroy()
    throw createRefusal(error, device)
  }
}

/**
 * Opens a rewritten graph on WebGPU with a fixed KV cache. Rejects if `canCapture` is true and some nodes run on the CPU,
 * because ONNX Runtime then refuses to create the session.
 */
async function openFixedCache(
  runtime: OnnxRuntime,
  files: RewrittenFiles,
  options: OpeningOptions,
  canCapture: boolean,
): Promise<Decoder> {
  const device = await createGpuDevice()
  try {
    const session = await createSession(runtime, { kind: 'webgpu', device, graphCapture: canCapture }, files)
    options.onSession()
    const schema = readStateSchema(session, options.cacheSizes)
    const { hasScoreMatrix, rotaryTables } = files
    const graph = { session, ...schema, canCapture, hasScoreMatrix, rotaryTables }
    const model = { runtime, device, firstCapacity, ...graph, ...options }
    return await createGpuDecoder({ ...model, ...readLogitsOutput(session) })
  } catch (error) {
    device.destroy()
    throw error
  }
}

/**
 * Reads the vocabulary size and the element type of the logits.
 * @throws RivuletError `model-unsupported` if the graph does not declare both
 */
function readLogitsOutput(session: InferenceSession): Pick<GpuModel, 'vocabulary' | 'logitsType'> {
  const logits = session.outputMetadata.find(({ name }) => name === logitsOutput)
  const vocabulary = logits?.isTensor ? logits.shape.at(-1) : undefined
  const logitsType = logits?.isTensor ? logits.type : undefined
  if (typeof vocabulary === 'number' && (logitsType === 'float32' || logitsType === 'float16')) {
    return { vocabulary, logitsType }
  }
  throw new RivuletError(
    'model-unsupported',
    `The graph does not declare the size and the type of its output "${logitsOutput}".`,
  )
}
