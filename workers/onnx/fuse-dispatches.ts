import {
  attentionBindings,
  canComputeAttention,
  writeAttentionKernel,
  type AttentionBinding,
  type AttentionShape,
} from './attention-kernel.js'
import type { CapturedStep, Dispatch } from './dispatch-recorder.js'
import type { LayerAttention } from './layer-attentions.js'
import { readBindingNames } from './pipeline-names.js'
import type { CacheInput } from './state-schema.js'

/**
 * The longest sequence for which a decoder fuses attention. One workgroup computes a head, so a longer sequence would leave
 * most of a GPU idle, where ONNX Runtime's kernels have a workgroup for each 64 tokens.
 */
export const maxFusedTokens = 2304

/** What `fuseDispatches` needs to know about the decoder. */
export interface FusedModel {
  readonly attentions: readonly LayerAttention[]
  readonly caches: readonly CacheInput[]
  /** The buffers of `caches`. */
  readonly buffers: readonly GPUBuffer[]
}

/** The pipelines of a device by the shape of their attention. */
export type AttentionPipelines = Map<string, Promise<GPUComputePipeline>>

/** A dispatch, with its buffers by the names that they have in its shader. */
interface NamedDispatch {
  readonly dispatch: Dispatch
  /** The names in the order of their bindings. */
  readonly names: string
  readonly buffers: ReadonlyMap<string, GPUBufferBinding>
}

/*
 * The kernels of ONNX Runtime 1.30.0's GroupQueryAttention for one token, by the names of their buffers. A version with
 * other kernels has other names, and its dispatches stay as they are.
 */
const rotaryKernel = 'q_input,k_input,seqlens,cos_cache,sin_cache,q_output,k_output'
const copyKernel = 'key,value,seqlen_k,total_sequence_length_input,present_key,present_value,indirect_buffer'
const scoreKernel =
  'q,present_key,present_value,seqlens_k,total_sequence_length_input,indirect_buffer,out_split_vx,metadata'
const sumKernel = 'input,metadata,seqlens_k,output'

/**
 * Replaces the dispatches of each attention in a recorded step by one dispatch of our kernel. ONNX Runtime issues four: it
 * rotates the query and the key, copies the key and the value into the cache, computes parts of the weighted sum, and adds
 * the parts up. A dispatch costs more than such a small one computes.
 *
 * A layer stays as it is if its dispatches do not have exactly the expected form.
 * @returns the dispatches, or undefined if no attention was replaced
 */
export async function fuseDispatches(
  device: GPUDevice,
  { capture, replay }: CapturedStep,
  model: FusedModel,
  pipelines: AttentionPipelines,
): Promise<readonly Dispatch[] | undefined> {
  const named = replay.dispatches.map((dispatch) => nameBuffers(dispatch, capture.bindGroups))
  const fused: Dispatch[] = []
  let isFused = false
  for (let index = 0; index < named.length;) {
    const found = findAttention(named, index, model)
    if (found) {
      fused.push(await createDispatch(device, found, pipelines))
      index += found.dispatches
      isFused = true
    } else {
      fused.push(named[index]!.dispatch)
      index += 1
    }
  }
  return isFused ? fused : undefined
}

function nameBuffers(dispatch: Dispatch, bindGroups: CapturedStep['capture']['bindGroups']): NamedDispatch {
  const [group, ...others] = dispatch.bindGroups
  const entries = (group && others.length === 0 && bindGroups.get(group)) || []
  const names = readBindingNames(dispatch.pipeline) ?? new Map<number, string>()
  const buffers = new Map<string, GPUBufferBinding>()
  for (const { binding, resource } of entries) {
    const name = names.get(binding)
    if (name !== undefined && 'buffer' in resource) buffers.set(name, resource)
  }
  return { dispatch, names: [...names.values()].join(), buffers }
}

interface FoundAttention {
  readonly shape: AttentionShape
  readonly buffers: ReadonlyMap<AttentionBinding, GPUBufferBinding>
  /** The number of dispatches that compute it. */
  readonly dispatches: number
}

/** Finds the attention whose first dispatch is at `index`. */
function findAttention(
  named: readonly NamedDispatch[],
  index: number,
  model: FusedModel,
): FoundAttention | undefined {
  const rotation = named[index]?.names === rotaryKernel ? named[index] : undefined
  const start = rotation ? index + 1 : index
  const [copy, score, sum] = named.slice(start, start + 3)
  if (copy?.names !== copyKernel || score?.names !== scoreKernel || sum?.names !== sumKernel) return undefined
  const isChain =
    isSame(copy, 'present_key', score, 'present_key') &&
    isSame(copy, 'present_value', score, 'present_value') &&
    isSame(score, 'out_split_vx', sum, 'input') &&
    (!rotation ||
      (isSame(rotation, 'k_output', copy, 'key') &&
        isSame(rotation, 'q_output', score, 'q') &&
        isSame(rotation, 'seqlens', copy, 'seqlen_k')))
  const shape = findShape(copy, rotation !== undefined, model)
  if (!isChain || !shape) return undefined
  const buffers = new Map<AttentionBinding, GPUBufferBinding | undefined>([
    ['query', rotation ? rotation.buffers.get('q_input') : score.buffers.get('q')],
    ['key', rotation ? rotation.buffers.get('k_input') : copy.buffers.get('key')],
    ['value', copy.buffers.get('value')],
    ['lastIndex', copy.buffers.get('seqlen_k')],
    ['keys', copy.buffers.get('present_key')],
    ['values', copy.buffers.get('present_value')],
    ['output', sum.buffers.get('output')],
  ])
  if (rotation) {
    buffers.set('cosines', rotation.buffers.get('cos_cache'))
    buffers.set('sines', rotation.buffers.get('sin_cache'))
  }
  return isBindable(buffers) ? { shape, buffers, dispatches: rotation ? 4 : 3 } : undefined
}

function isSame(one: NamedDispatch, oneName: string, other: NamedDispatch, otherName: string): boolean {
  const buffer = one.buffers.get(oneName)?.buffer
  return buffer !== undefined && buffer === other.buffers.get(otherName)?.buffer
}

/** Finds the shape of the attention that writes the cache of `copy`. */
function findShape(
  copy: NamedDispatch,
  isRotated: boolean,
  { attentions, caches, buffers }: FusedModel,
): AttentionShape | undefined {
  const keys = copy.buffers.get('present_key')?.buffer
  const cache = caches.find((_, index) => buffers[index] === keys)
  const attention = attentions.find(({ pastKey }) => pastKey === cache?.past)
  if (!cache || !attention) return undefined
  const { heads, cacheHeads, scale, rotaryWidth, isInterleaved } = attention
  const { type, headSize } = cache
  if (cache.heads !== cacheHeads || (isRotated && rotaryWidth === undefined)) return undefined
  const rotary = isRotated ? { width: rotaryWidth!, isInterleaved } : undefined
  const shape = { type, heads, cacheHeads, headSize, scale: scale ?? 1 / Math.sqrt(headSize), rotary }
  return canComputeAttention(shape) ? shape : undefined
}

/** WebGPU allows no buffer twice in a dispatch that writes it. */
function isBindable(
  buffers: ReadonlyMap<AttentionBinding, GPUBufferBinding | undefined>,
): buffers is ReadonlyMap<AttentionBinding, GPUBufferBinding> {
  const all = [...buffers.values()].map((binding) => binding?.buffer)
  return !all.includes(undefined) && new Set(all).size === all.length
}

async function createDispatch(
  device: GPUDevice,
  { shape, buffers }: FoundAttention,
  pipelines: AttentionPipelines,
): Promise<Dispatch> {
  const key = JSON.stringify(shape)
  const known = pipelines.get(key) ?? createPipeline(device, shape)
  pipelines.set(key, known)
  const pipeline = await known
  const entries = attentionBindings.flatMap((name, binding) => {
    const resource = buffers.get(name)
    return resource ? [{ binding, resource }] : []
  })
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })
  return { pipeline, bindGroups: [group], workgroups: { kind: 'direct', count: [shape.heads, 1, 1] } }
}

function createPipeline(device: GPUDevice, shape: AttentionShape): Promise<GPUComputePipeline> {
  const module = device.createShaderModule({ code: writeAttentionKernel(shape) })
  return device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'attend' } })
}
