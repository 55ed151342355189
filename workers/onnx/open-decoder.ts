import { fromBinary } from '@bufbuild/protobuf'
import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { Execution } from '../../lib/contract/worker-api.js'
import { checkedExecutions, nameCheck, readCheck, writeCheck } from './check-records.js'
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
import { computeReferenceSteps, type ReferenceSteps } from './reference-steps.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { createRefusal, createSession, type OnnxRuntime } from './session.js'
import { readStateSchema } from './state-schema.js'
import { WrongStepError, chooseProbes, readWindows } from './step-check.js'
import { tabulateRotary } from './tabulate-rotary.js'

/** The initial capacity of the KV cache, in tokens. Most conversations are shorter. */
export const firstCapacity = 1024

interface GraphFiles extends Pick<ModelWeights, 'graph' | 'externalData'> {
  readonly rotaryTables?: GpuModel['rotaryTables']
}

/** The rewritten graph, with the attention windows of its nodes. */
interface RewrittenFiles extends GraphFiles {
  readonly hasScoreMatrix: boolean
  readonly rotaryTables: GpuModel['rotaryTables']
  /** As in `Rewrite`. */
  readonly cache: 'captured' | 'fixed' | 'growing'
  readonly windows: readonly number[]
}

interface DecoderOptions extends Pick<GpuModel, 'contextLength' | 'conversationCacheBytes'> {
  readonly cacheSizes: CacheSizes
  /** The number of conversations whose steps may be computed together. @default 1 */
  readonly maxConcurrentGenerations?: number
  /** Called when the weights are loaded and only the warm-up remains. */
  readonly onSession: () => void
  /** Called if a faster way does not work on this device. `reason` is one or more sentences. */
  readonly onSlower?: (reason: string) => void
}

type OpeningOptions = DecoderOptions & Pick<GpuModel, 'prefillRules'>

/**
 * Opens a model in the fastest way that works. It tries these ways, in this order:
 * - On WebGPU: the rewritten graph with a fixed KV cache and graph capture, if the graph can be captured; the same without
 *   graph capture; the rewritten graph with a growing cache, if its cache cannot be fixed; the graph as exported. All of
 *   them read the rotary factors from tables.
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
  const tabulated = device === 'webgpu' ? tabulateRotary(weights, decoderOptions) : undefined
  const tables = tabulated?.tables ?? []
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
  const rewritten: RewrittenFiles | undefined =
    rewrite.kind === 'rewritten'
      ? {
          ...rewrite,
          graph: rewrite.bytes,
          externalData: [...weights.externalData, ...tables, { path: originalFile, data: weights.graph }],
          // Read after the rewrite, which finds the windows of attention that is written out.
          windows: weights.model.graph ? readWindows(weights.model.graph) : [],
        }
      : undefined
  if (device === 'webgpu') return openOnWebGpu(runtime, tabulated?.exported ?? weights, rewritten, options)
  const ways: (() => Promise<Decoder | undefined>)[] = [
    () => openExpanded(runtime, rewritten ?? weights, options),
    ...(rewritten ? [() => openGrowingCache(runtime, device, rewritten, options)] : []),
  ]
  for (const open of ways) {
    // Ignores all errors: the next way requires less of the device, and the last way reports its error.
    const decoder = await open().catch(() => undefined)
    if (decoder) return decoder
  }
  return openGrowingCache(runtime, device, weights, options)
}

/** Opens the graph on WebGPU: rewritten, if that works and computes what the exported graph does. */
async function openOnWebGpu(
  runtime: OnnxRuntime,
  exported: GraphFiles,
  rewritten: RewrittenFiles | undefined,
  options: OpeningOptions,
): Promise<Decoder> {
  const decoder =
    rewritten?.cache === 'growing'
      ? // It runs as the exported graph does. The last way reports its error.
        await openGrowingCache(runtime, 'webgpu', rewritten, options).catch(() => undefined)
      : rewritten && (await openChecked(runtime, exported, rewritten, options))
  return decoder ?? openGrowingCache(runtime, 'webgpu', exported, options)
}

/**
 * Opens a rewritten graph with a fixed cache on WebGPU in the fastest way whose steps equal those of the exported graph. The steps are
 * compared at the first load; later loads on the same device use the result.
 * @returns undefined if the rewritten graph cannot be opened, or computes wrong results
 */
async function openChecked(
  runtime: OnnxRuntime,
  exported: GraphFiles,
  rewritten: RewrittenFiles,
  options: OpeningOptions,
): Promise<Decoder | undefined> {
  const { windows } = rewritten
  const { contextLength, prefillRules, cacheSizes, onSlower } = options
  const probes = chooseProbes({ windows, ...prefillRules, firstCapacity, contextLength })
  const key = await nameCheck(runtime, rewritten.graph, probes)
  const known = await readCheck(key)

  async function open(canCapture: boolean): Promise<Decoder> {
    const device = await createGpuDevice()
    if (known) return openFixedCache(runtime, device, rewritten, options, canCapture)
    const reference = await computeReferenceSteps(runtime, device, exported, cacheSizes, probes).catch(
      () => undefined,
    )
    if (reference) {
      const decoder = await openFixedCache(runtime, device, rewritten, options, canCapture, reference)
      await writeCheck(key, decoder.execution)
      return decoder
    }
    device.destroy()
    if (canCapture)
      throw new WrongStepError('Replayed steps could not be checked: the exported graph does not run.')
    return openFixedCache(runtime, await createGpuDevice(), rewritten, options, canCapture)
  }

  const fastest = checkedExecutions.indexOf(rewritten.cache === 'captured' ? 'replayed' : 'fixed-cache')
  const first = Math.max(fastest, known ? checkedExecutions.indexOf(known) : 0)
  let reason = first === fastest ? undefined : 'An earlier load found that a faster way does not work here.'
  for (const way of checkedExecutions.slice(first, -1)) {
    try {
      const decoder = await open(way === 'replayed')
      if (decoder.execution !== way) reason = 'Replayed steps failed the self-test.'
      if (reason !== undefined) onSlower?.(describeSlower(reason, decoder.execution))
      return decoder
    } catch (error) {
      // The next way requires less of the device, and the last way reports its error.
      reason = describeError(error)
      if (way === 'fixed-cache' && error instanceof WrongStepError) await writeCheck(key, 'growing-cache')
    }
  }
  if (reason !== undefined) onSlower?.(describeSlower(reason, 'growing-cache'))
  return undefined
}

function describeSlower(reason: string, execution: Execution): string {
  return `The model runs more slowly than it could ("${execution}"). ${reason}`
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
  {
    cacheSizes,
    conversationCacheBytes,
    prefillRules,
    onSession,
    maxConcurrentGenerations = 1,
  }: OpeningOptions,
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
      { rotaryTables: files.rotaryTables, lost, maxRows: gpu ? 1 : maxConcurrentGenerations },
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
 * @throws WrongStepError if a step differs from `reference`, whose buffers are destroyed at the end
 */
async function openFixedCache(
  runtime: OnnxRuntime,
  device: GPUDevice,
  files: RewrittenFiles,
  options: OpeningOptions,
  canCapture: boolean,
  reference?: ReferenceSteps,
): Promise<Decoder> {
  let session: InferenceSession | undefined
  try {
    session = await createSession(runtime, { kind: 'webgpu', device, graphCapture: canCapture }, files)
    // Only now: ONNX Runtime keeps the shaders of a device as long as one of its sessions lives.
    await reference?.releaseSession()
    options.onSession()
    const schema = readStateSchema(session, options.cacheSizes)
    const { hasScoreMatrix, rotaryTables } = files
    const graph = { session, ...schema, canCapture, hasScoreMatrix, rotaryTables }
    const model = { runtime, device, firstCapacity, ...graph, ...options }
    return await createGpuDecoder({
      ...model,
      ...readLogitsOutput(session),
      ...(reference && { referenceSteps: reference.steps }),
    })
  } catch (error) {
    // Free the memory, because the next way needs it.
    await session?.release()
    device.destroy()
    throw error
  } finally {
    reference?.destroy()
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
