import { fromBinary } from '@bufbuild/protobuf'
import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { isDeviceLost } from '../../lib/contract/is-device-lost.js'
import { toHex } from '../../lib/contract/store-layout.js'
import type { Execution } from '../../lib/contract/worker-api.js'
import { failOnLoss } from '../gpu-loss.js'
import { isBatchable } from './batchable-graph.js'
import { checkedWays, nameCheck, readCheck, writeCheck, type CheckedWay } from './check-records.js'
import type { Decoder } from './decoder.js'
import { expandWeights } from './expand-weights.js'
import { FailedBatchError } from './gpu-batch.js'
import { createGpuDecoder } from './gpu-decoder.js'
import { createGpuDevice, describeLoss } from './gpu-device.js'
import type { GpuModel } from './gpu-model.js'
import { samplerEntryPoints } from './gpu-sampler.js'
import { logitsOutput } from './graph-names.js'
import { readAttentions, type LayerAttention } from './layer-attentions.js'
import type { CacheSizes } from './model-config.js'
import type { ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { createGrowingCacheDecoder } from './growing-cache-decoder.js'
import { findPool } from './pipeline-pool.js'
import { leaveOutPoolClears, needsPoolClears } from './pool-clears.js'
import { readPrefillRules } from './prefill-rules.js'
import { computeReferenceSteps, type ReferenceSteps } from './reference-steps.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { createRefusal, createSession, type OnnxRuntime } from './session.js'
import { readStateSchema } from './state-schema.js'
import { WrongFusionError, WrongStepError, chooseProbes, readWindows } from './step-check.js'
import { tabulateRotary } from './tabulate-rotary.js'

/** The initial capacity of the KV cache, in tokens. Most conversations are shorter. */
export const firstCapacity = 1024

/** After so many losses of the GPU, only the way that requires the least of it is tried. */
const cautiousAfter = 2

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
  readonly attentions: readonly LayerAttention[]
  /** As `isBatchable` returns. */
  readonly isBatchable: boolean
}

interface DecoderOptions extends Pick<GpuModel, 'contextLength' | 'conversationCacheBytes'> {
  readonly cacheSizes: CacheSizes
  /** As in `LoadRequest`. */
  readonly losses?: number | undefined
  /** Creates a GPU device. @default createGpuDevice */
  readonly createDevice?: (() => Promise<GPUDevice>) | undefined
  /** The number of conversations whose steps may be computed together. @default 1 */
  readonly maxConcurrentGenerations?: number
  /** Called when the weights are loaded and only the warm-up remains. */
  readonly onSession: () => void
  /** Called if a faster way does not work on this device. `reason` is one or more sentences. */
  readonly onSlower?: (reason: string) => void
}

interface OpeningOptions
  extends DecoderOptions, Pick<GpuModel, 'prefillRules' | 'isTested' | 'needsPoolClears'> {
  /** Returns the hash of a graph (`GpuModel.graphHash`). */
  readonly hashGraph: (graph: Uint8Array<ArrayBuffer>) => Promise<string>
}

/**
 * Opens a model in the fastest way that works. It tries these ways, in this order:
 * - On WebGPU: the rewritten graph with a fixed KV cache and graph capture, if the graph can be captured; the same without
 *   graph capture; the rewritten graph with a growing cache, if its cache cannot be fixed; the graph as exported. All of
 *   them read the rotary factors from tables.
 * - On WASM: the graph with its block-quantized weights expanded to f32; the rewritten graph, which computes the logits of
 *   only one position; the graph as exported.
 *
 * @throws RivuletError `model-invalid`, `model-unsupported`, `memory-exceeded`, `backend-unavailable`; `download-failed` if an
 *   external file cannot be read; `device-lost` if the GPU is lost meanwhile
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
  const exportedNeedsClears = needsPoolClears(weights.model)
  const rewrite = rewriteGraph(weights.model, {
    device,
    contextLength: decoderOptions.contextLength,
    cacheSizes: decoderOptions.cacheSizes,
    rotarySwitch: prefillRules.rotarySwitch,
  })
  const options: OpeningOptions = {
    ...decoderOptions,
    prefillRules,
    needsPoolClears: exportedNeedsClears || needsPoolClears(weights.model),
    hashGraph: (graph) => hashGraph(graph, weights.graph),
    // Without prefix reuse, the KV caches of earlier conversations are useless.
    ...(prefillRules.wholePrompt && { conversationCacheBytes: 0 }),
  }
  const rewritten: RewrittenFiles | undefined =
    rewrite.kind === 'rewritten'
      ? {
          ...rewrite,
          graph: rewrite.bytes,
          externalData: [...weights.externalData, ...tables, { path: originalFile, data: weights.graph }],
          // Read after the rewrite, which finds the windows of attention that is written out.
          windows: weights.model.graph ? readWindows(weights.model.graph) : [],
          attentions: weights.model.graph ? readAttentions(weights.model.graph) : [],
          isBatchable: weights.model.graph !== undefined && isBatchable(weights.model.graph),
        }
      : undefined
  if (device === 'webgpu') return openOnWebGpu(runtime, tabulated?.exported ?? weights, rewritten, options)
  const ways: (() => Promise<Decoder | undefined>)[] = [
    () => openExpanded(runtime, rewritten ?? weights, options),
    ...(rewritten ? [() => openGrowingCache(runtime, device, rewritten, options)] : []),
  ]
  for (const open of ways) {
    // The next way requires less of the device, and the last way reports its error.
    const decoder = await open().catch(throwUnrelated)
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
  const { losses = 0, onSlower } = options
  if (losses >= cautiousAfter) {
    const reason = `The GPU was lost ${losses} times while a faster way was opened.`
    if (rewritten) onSlower?.(describeSlower(reason, 'growing-cache'))
    return openGrowingCache(runtime, 'webgpu', exported, options)
  }
  const decoder =
    rewritten?.cache === 'growing'
      ? // It runs as the exported graph does. The last way reports its error.
        await openGrowingCache(runtime, 'webgpu', rewritten, options).catch(throwUnrelated)
      : rewritten && (await openChecked(runtime, exported, rewritten, options))
  return decoder ?? openGrowingCache(runtime, 'webgpu', exported, options)
}

/**
 * Opens a rewritten graph with a fixed cache on WebGPU in the fastest way whose steps equal those of the exported graph. The steps are
 * compared at the first load; later loads on the same device use the result.
 * @returns undefined if the rewritten graph cannot be opened, or computes wrong results
 * @throws RivuletError `device-lost`: a lost GPU shows nothing about the graph
 */
async function openChecked(
  runtime: OnnxRuntime,
  exported: GraphFiles,
  rewritten: RewrittenFiles,
  options: OpeningOptions,
): Promise<Decoder | undefined> {
  const { windows } = rewritten
  const { contextLength, prefillRules, cacheSizes, onSlower, createDevice = createGpuDevice } = options
  const probes = chooseProbes({ windows, ...prefillRules, firstCapacity, contextLength })
  const key = await nameCheck(runtime, rewritten.graph, probes)
  const known = await readCheck(key)

  async function open(way: CheckedWay): Promise<Decoder> {
    const canCapture = way !== 'fixed-cache'
    const files = way === 'fused' ? rewritten : { ...rewritten, attentions: [] }
    const device = await createDevice()
    if (known) return openFixedCache(runtime, device, files, { ...options, isTested: true }, canCapture)
    const reference = await failOnLoss(
      readLoss(device),
      computeReferenceSteps(runtime, device, exported, cacheSizes, probes),
    ).catch(throwUnrelated)
    if (reference) {
      const decoder = await openFixedCache(runtime, device, files, options, canCapture, reference)
      await writeCheck(key, decoder.execution === 'replayed' ? way : 'fixed-cache')
      return decoder
    }
    device.destroy()
    if (canCapture)
      throw new WrongStepError('Replayed steps could not be checked: the exported graph does not run.')
    return openFixedCache(runtime, await createDevice(), files, options, canCapture)
  }

  const fastest = checkedWays.indexOf(rewritten.cache === 'captured' ? 'fused' : 'fixed-cache')
  const first = Math.max(fastest, known ? checkedWays.indexOf(known) : 0)
  let reason = first === fastest ? undefined : 'An earlier load found that a faster way does not work here.'
  let isFusionWrong = false
  for (const way of checkedWays.slice(first, -1)) {
    // Without fusion, a replay would fail for the same reason.
    if (way === 'replayed' && way !== checkedWays[first] && !isFusionWrong) continue
    try {
      const decoder = await open(way)
      if (way !== 'fixed-cache' && decoder.execution === 'fixed-cache')
        reason = 'Replayed steps failed the self-test.'
      if (reason !== undefined) onSlower?.(describeSlower(reason, decoder.execution))
      return decoder
    } catch (error) {
      throwUnrelated(error)
      if (error instanceof FailedBatchError)
        return openChecked(runtime, exported, rewritten, { ...options, maxConcurrentGenerations: 1 })
      // The next way requires less of the device, and the last way reports its error.
      reason = describeError(error)
      isFusionWrong = error instanceof WrongFusionError
      if (way === 'fixed-cache' && error instanceof WrongStepError) await writeCheck(key, 'growing-cache')
    }
  }
  if (reason !== undefined) onSlower?.(describeSlower(reason, 'growing-cache'))
  return undefined
}

/** Ignores all errors but those for which a slower way is no remedy: a lost GPU, and a file that cannot be read. */
function throwUnrelated(error: unknown): undefined {
  if (isDeviceLost(error) || (error instanceof RivuletError && error.code === 'download-failed')) throw error
  return undefined
}

/** Resolves with the reason when the device is lost. */
function readLoss({ lost }: GPUDevice): Promise<string> {
  return lost.then(describeLoss)
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
    createDevice = createGpuDevice,
    ...options
  }: OpeningOptions,
): Promise<Decoder> {
  const gpu = device === 'webgpu' ? await createDevice() : undefined
  if (gpu && !options.needsPoolClears) leaveOutPoolClears(gpu)
  const target = gpu
    ? ({ kind: 'webgpu', device: gpu, graphCapture: false } as const)
    : ({ kind: 'wasm' } as const)
  const lost = gpu && readLoss(gpu)
  let session: InferenceSession | undefined

  async function open(): Promise<Decoder> {
    session = await createSession(runtime, target, files)
    onSession()
    return createGrowingCacheDecoder(
      runtime,
      session,
      readStateSchema(session, cacheSizes),
      conversationCacheBytes,
      prefillRules,
      {
        rotaryTables: files.rotaryTables,
        lost,
        maxRows: gpu ? 1 : maxConcurrentGenerations,
        graphHash: await options.hashGraph(files.graph),
      },
    )
  }

  try {
    return await (lost ? failOnLoss(lost, open()) : open())
  } catch (error) {
    throwUnrelated(error)
    // Free the memory, because the next way needs it.
    await session?.release()
    gpu?.destroy()
    throw createRefusal(error, device)
  }
}

/**
 * Opens a rewritten graph on WebGPU with a fixed KV cache. Rejects if `canCapture` is true and some nodes run on the CPU,
 * because ONNX Runtime then refuses to create the session.
 * @throws WrongStepError if a step differs from `reference`, whose buffers are destroyed at the end; RivuletError
 *   `device-lost`
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

  async function open(): Promise<Decoder> {
    session = await createSession(runtime, { kind: 'webgpu', device, graphCapture: canCapture }, files)
    // Only now: ONNX Runtime keeps the shaders of a device as long as one of its sessions lives.
    await reference?.releaseSession()
    options.onSession()
    await findPool(device)?.waitFor(samplerEntryPoints)
    const schema = readStateSchema(session, options.cacheSizes)
    const { hasScoreMatrix, rotaryTables, attentions } = files
    const graph = { session, ...schema, canCapture, hasScoreMatrix, rotaryTables, attentions }
    const graphHash = await options.hashGraph(files.graph)
    // After a loss of the GPU, as little as possible is asked of it.
    const canBatch = files.isBatchable && !options.losses
    const maxRows = canBatch ? (options.maxConcurrentGenerations ?? 1) : 1
    const model = { runtime, device, firstCapacity, graphHash, maxRows, ...graph, ...options }
    return createGpuDecoder({
      ...model,
      ...readLogitsOutput(session),
      ...(reference && { referenceSteps: reference.steps }),
    })
  }

  try {
    return await failOnLoss(readLoss(device), open())
  } catch (error) {
    throwUnrelated(error)
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

/** A graph of this size or more contains its weights. Then it is as the model's file has it, or as large parts of it are. */
const weightyBytes = 2 ** 26

/**
 * Returns a hash of the graph that a session runs: kept states depend on it, and a new version of rivulet may rewrite the graph
 * in another way. The model's file itself needs none.
 */
async function hashGraph(graph: Uint8Array<ArrayBuffer>, exported: Uint8Array<ArrayBuffer>): Promise<string> {
  // Insecure pages have no hashes, and no store either.
  const { subtle } = crypto as Partial<Crypto>
  if (graph === exported || graph.byteLength >= weightyBytes || !subtle) return `${graph.byteLength}`
  return toHex(await subtle.digest('SHA-256', graph))
}
