import { fromBinary, toBinary } from '@bufbuild/protobuf'
import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { createCacheContent, type CacheContent } from './cache-content.js'
import { cutLayers } from './cut-layers.js'
import { logitsOutput } from './graph-names.js'
import type { CacheSizes } from './model-config.js'
import type { ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { leaveWeightsInFile, originalFile } from './rewrite-graph.js'
import { createSession, type OnnxRuntime } from './session.js'
import {
  countElementBytes,
  countElements,
  readCacheInputs,
  readFixedStates,
  readPositionRows,
  type CacheInput,
} from './state-schema.js'
import { readStep, type StepBuffers, type StepProbe, type StepResult } from './step-check.js'
import { prepareTokenFeeds } from './token-feeds.js'

/** How much weight the exported graph may have in a check. The layers beyond it are not compared. */
const maxReferenceBytes = 256 * 2 ** 20

/** A step, and what the exported graph computes for it. */
export interface ReferenceStep {
  readonly probe: StepProbe
  readonly content: CacheContent
  readonly expected: StepResult
}

/** The steps of a check, computed by the exported graph. */
export interface ReferenceSteps {
  readonly steps: readonly ReferenceStep[]
  /** Frees the session. ONNX Runtime keeps the shaders of a device as long as one of its sessions lives. */
  releaseSession(): Promise<void>
  /** Frees the artificial caches. */
  destroy(): void
}

/**
 * Computes steps with the exported graph in a session without graph capture. The graph is cut to its first layers if its
 * weights are larger than `maxReferenceBytes`.
 * @throws RivuletError if ONNX Runtime cannot run the graph on the device
 */
export async function computeReferenceSteps(
  runtime: OnnxRuntime,
  device: GPUDevice,
  { graph, externalData }: Pick<ModelWeights, 'graph' | 'externalData'>,
  sizes: CacheSizes,
  probes: readonly StepProbe[],
): Promise<ReferenceSteps> {
  const model = fromBinary(ModelProtoSchema, graph)
  if (model.graph) cutLayers(model.graph, maxReferenceBytes)
  if (model.graph) leaveWeightsInFile(model.graph)
  const session = await createSession(
    runtime,
    { kind: 'webgpu', device, graphCapture: false },
    {
      graph: toBinary(ModelProtoSchema, model),
      externalData: [...externalData, { path: originalFile, data: graph }],
    },
  )
  const steps: ReferenceStep[] = []
  const destroy = () => {
    for (const { content } of steps) content.destroy()
  }
  try {
    const caches = readCacheInputs(session, sizes).filter(({ present }) =>
      session.outputNames.includes(present),
    )
    const stateFeeds = createZeroStates(runtime, session)
    const createTokenFeeds = prepareTokenFeeds(runtime.Tensor, session, readPositionRows(session))
    for (const probe of probes) {
      const content = createCacheContent(device, probe)
      const { tokenIds, cachedTokens } = probe
      const outputs = await session.run({
        ...createTokenFeeds(tokenIds, cachedTokens),
        ...createCacheFeeds(runtime, caches, content, probe),
        ...stateFeeds,
      })
      const length = cachedTokens + tokenIds.length
      const expected = await readStep(device, caches, length - 1, findBuffers(outputs, length))
      for (const tensor of Object.values(outputs)) tensor.dispose()
      steps.push({ probe, content, expected })
    }
    return { steps, releaseSession: () => session.release(), destroy }
  } catch (error) {
    destroy()
    await session.release()
    throw error
  }
}

function createCacheFeeds(
  { Tensor }: OnnxRuntime,
  caches: readonly CacheInput[],
  content: CacheContent,
  { cachedTokens }: StepProbe,
): Record<string, Tensor> {
  return Object.fromEntries(
    caches.map((input) => {
      const { past, type, heads, headSize } = input
      const dims = [1, heads, cachedTokens, headSize]
      return [past, Tensor.fromGpuBuffer(content.find(input), { dataType: type, dims })]
    }),
  )
}

/** Creates the states of fixed size as before the first token: the check writes only the KV cache. */
function createZeroStates({ Tensor }: OnnxRuntime, session: InferenceSession): Record<string, Tensor> {
  return Object.fromEntries(
    readFixedStates(session).map(({ past, type, dims }) => {
      const size = countElements(dims)
      const zeros = type === 'float16' ? new Uint16Array(size) : new Float32Array(size)
      return [past, new Tensor(type, zeros, dims)]
    }),
  )
}

/** Finds the buffers of the outputs, which are tensors on the GPU. */
function findBuffers(outputs: InferenceSession.OnnxValueMapType, length: number): StepBuffers {
  const find = (name: string) => outputs[name] as Tensor | undefined
  const logits = find(logitsOutput)
  const [, positions = 1, vocabulary = 0] = logits?.dims ?? []
  const type = logits?.type as CacheInput['type']
  // Copies between buffers are aligned to four bytes.
  const canCopy = logits && (vocabulary * countElementBytes(type)) % 4 === 0
  return {
    capacity: length,
    findCache: ({ present }) => find(present)?.gpuBuffer as GPUBuffer | undefined,
    logits: canCopy ? { buffer: logits.gpuBuffer as GPUBuffer, type, positions, vocabulary } : undefined,
  }
}
