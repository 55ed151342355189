import {
  attentionGroupSize,
  canComputeAttention,
  countConversations,
  listBindings,
  packAttentionGroup,
  writeAttentionKernel,
  type AttentionShape,
} from './attention-kernel.js'
import type { CapturedStep, Dispatch } from './dispatch-recorder.js'
import type { LayerAttention } from './layer-attentions.js'
import { mergeProducts } from './merge-products.js'
import { nameDispatches, type NamedDispatch } from './named-dispatches.js'
import type { CacheInput } from './state-schema.js'
import { createOwnBindGroup } from './own-encoder.js'
import { bufferUsage } from './webgpu-flags.js'

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

/*
 * The kernels of ONNX Runtime 1.30.0's GroupQueryAttention for one token, by the names of their buffers. A version with
 * other kernels has other names, and its dispatches stay as they are.
 */
const rotaryKernel = 'q_input,k_input,seqlens,cos_cache,sin_cache,q_output,k_output'
const packedKernel =
  'packed_qkv,seqlens,cos_cache,sin_cache,total_sequence_length_input,query,present_key,present_value,indirect_buffer'
const copyKernel = 'key,value,seqlen_k,total_sequence_length_input,present_key,present_value,indirect_buffer'
const scoreKernel =
  'q,present_key,present_value,seqlens_k,total_sequence_length_input,indirect_buffer,out_split_vx,metadata'
const sumKernel = 'input,metadata,seqlens_k,output'

/** A recorded step with fused attention. */
export interface FusedStep {
  readonly dispatches: readonly Dispatch[]
  /** False if a dispatch of ONNX Runtime reads the cache. */
  readonly canMove: boolean
  /**
   * Returns the same step with another KV cache, of any capacity.
   * @param buffers the buffers of the other cache
   * @returns undefined if `canMove` is false
   */
  moveTo(buffers: readonly GPUBuffer[]): FusedStep | undefined
}

/** A recorded step of several conversations, each with a KV cache of its own. */
export interface FusedBatch {
  /**
   * Returns the dispatches of a step, in which one dispatch computes the attention of as many conversations as possible.
   * @param caches the buffers of the cache of each conversation. There may be fewer than the step was recorded with.
   */
  bind(caches: readonly (readonly GPUBuffer[])[]): readonly Dispatch[]
  /** Writes the lengths of the conversations for the next submit. @param lastIndexes one less than each length, with the token */
  writeLengths(lastIndexes: readonly number[]): void
  destroy(): void
}

type FusedPart = FoundAttention & { readonly pipeline: GPUComputePipeline }

/** A dispatch of ONNX Runtime, or an attention with its kernel. */
type Part = Dispatch | FusedPart

/**
 * Replaces the dispatches of each attention in a recorded step by one dispatch of our kernel. ONNX Runtime issues four: it
 * rotates the query and the key, copies the key and the value into the cache, computes parts of the weighted sum, and adds
 * the parts up; or three, if the first two are one. A dispatch costs more than such a small one computes.
 *
 * A layer stays as it is if its dispatches do not have exactly the expected form.
 * @returns undefined if no attention was replaced
 */
export async function fuseDispatches(
  device: GPUDevice,
  step: CapturedStep,
  model: FusedModel,
  pipelines: AttentionPipelines,
): Promise<FusedStep | undefined> {
  const { parts, canMove } = await findParts(device, nameDispatches(step), model, undefined, pipelines)
  return parts.some(isAttention) ? createStep(device, parts, model.buffers, canMove) : undefined
}

/**
 * As `fuseDispatches`, for a recorded step of several conversations. Also merges their products (`mergeProducts`).
 * @param rows the number of conversations
 * @param alone the recorded step of one conversation
 * @param model `buffers` is the cache of the recorded step, which has a row for each conversation
 * @returns undefined if a dispatch of ONNX Runtime reads the cache, so that the conversations could have no caches of their own
 */
export async function fuseBatch(
  device: GPUDevice,
  step: CapturedStep,
  rows: number,
  alone: CapturedStep,
  model: FusedModel,
  pipelines: AttentionPipelines,
): Promise<FusedBatch | undefined> {
  const named = mergeProducts(device, nameDispatches(step), alone, rows)
  const { parts, canMove } = await findParts(device, named, model, rows, pipelines)
  const perDispatch = parts.find(isAttention)?.shape.conversations ?? 0
  if (!canMove || perDispatch < 1) return undefined
  const { storage, uniform, copyTarget } = bufferUsage
  const groups = Array.from({ length: Math.ceil(rows / perDispatch) }, () =>
    device.createBuffer({ size: attentionGroupSize, usage: uniform | copyTarget }),
  )
  // A dispatch for fewer conversations binds these, because WebGPU allows no buffer twice in a dispatch that writes it.
  const unused = Array.from({ length: 2 * (perDispatch - 1) }, () =>
    device.createBuffer({ size: 16, usage: storage }),
  )

  /** Creates the dispatches of one attention. */
  function bindAttention(part: FusedPart, caches: readonly (readonly GPUBuffer[])[]): readonly Dispatch[] {
    const places = (['keys', 'values'] as const).map((name) =>
      model.buffers.indexOf(part.buffers.get(name)!.buffer),
    )
    return groups.slice(0, Math.ceil(caches.length / perDispatch)).map((group, index) => {
      const bound = new Map(part.buffers).set('group', { buffer: group })
      const chosen = caches.slice(index * perDispatch, (index + 1) * perDispatch)
      for (let slot = 0; slot < perDispatch; slot += 1)
        for (const [place, name] of ['keys', 'values'].entries()) {
          const buffer = chosen[slot]?.[places[place]!] ?? unused[2 * (slot - 1) + place]!
          bound.set(slot === 0 ? name : `${name}${slot}`, { buffer })
        }
      return createDispatch(device, { ...part, buffers: bound }, chosen.length)
    })
  }

  return {
    bind: (caches) => parts.flatMap((part) => (isAttention(part) ? bindAttention(part, caches) : [part])),
    writeLengths(lastIndexes) {
      for (const [index, group] of groups.entries()) {
        const first = index * perDispatch
        const words = packAttentionGroup(first, lastIndexes.slice(first, first + perDispatch))
        device.queue.writeBuffer(group, 0, words)
      }
    },
    destroy() {
      for (const buffer of [...groups, ...unused]) buffer.destroy()
    },
  }
}

/** Finds the attentions of a step. `canMove` is true if no dispatch of ONNX Runtime reads the cache. */
async function findParts(
  device: GPUDevice,
  named: readonly NamedDispatch[],
  model: FusedModel,
  rows: number | undefined,
  pipelines: AttentionPipelines,
): Promise<{ readonly parts: readonly Part[]; readonly canMove: boolean }> {
  const found: (Dispatch | FoundAttention)[] = []
  for (let index = 0; index < named.length;) {
    const attention = findAttention(named, index, model)
    found.push(attention ?? named[index]!.dispatch)
    index += attention?.dispatches ?? 1
  }
  const conversations = rows && chooseConversations(device, found.filter(isAttention), rows)
  const parts: Part[] = []
  for (const part of found) {
    if (isAttention(part)) {
      const shape = { ...part.shape, conversations }
      parts.push({ ...part, shape, pipeline: await findPipeline(device, shape, pipelines) })
    } else parts.push(part)
  }
  const fused = new Set(
    parts
      .filter(isAttention)
      .flatMap(({ buffers }) => [buffers.get('keys')?.buffer, buffers.get('values')?.buffer]),
  )
  return { parts, canMove: model.buffers.every((buffer) => fused.has(buffer)) }
}

/** Chooses the number of conversations in one dispatch. It is the same for all layers, because they share the uniforms of a group. */
function chooseConversations(
  { limits }: GPUDevice,
  attentions: readonly FoundAttention[],
  rows: number,
): number {
  const counts = attentions.map(({ shape }) =>
    countConversations(shape, limits.maxStorageBuffersPerShaderStage),
  )
  return Math.min(rows, ...counts)
}

function isAttention<Attention extends FoundAttention>(part: Dispatch | Attention): part is Attention {
  return 'shape' in part
}

function createStep(
  device: GPUDevice,
  parts: readonly Part[],
  cache: readonly GPUBuffer[],
  canMove: boolean,
): FusedStep {
  return {
    dispatches: parts.map((part) => (isAttention(part) ? createDispatch(device, part) : part)),
    canMove,
    moveTo(target) {
      if (!canMove) return undefined
      const moved = parts.map((part) => (isAttention(part) ? moveCache(part, cache, target) : part))
      return createStep(device, moved, target, canMove)
    },
  }
}

/** Returns an attention with another KV cache. */
function moveCache(part: FusedPart, from: readonly GPUBuffer[], to: readonly GPUBuffer[]): FusedPart {
  const move = (binding: GPUBufferBinding): GPUBufferBinding => {
    const index = from.indexOf(binding.buffer)
    return index === -1 ? binding : { buffer: to[index]! }
  }
  return { ...part, buffers: new Map(Array.from(part.buffers, ([name, binding]) => [name, move(binding)])) }
}

interface FoundAttention {
  readonly shape: AttentionShape
  readonly buffers: ReadonlyMap<string, GPUBufferBinding>
  /** The number of dispatches that compute it. */
  readonly dispatches: number
}

/** Finds the attention whose first dispatch is at `index`. */
function findAttention(
  named: readonly NamedDispatch[],
  index: number,
  model: FusedModel,
): FoundAttention | undefined {
  const [first, second] = named.slice(index, index + 2)
  if (first?.names === packedKernel) return findPacked(named.slice(index, index + 3), model)
  if (first?.names === copyKernel) return findCopied(undefined, named.slice(index, index + 3), model)
  return first?.names === rotaryKernel && second?.names === copyKernel
    ? findCopied(first, named.slice(index + 1, index + 4), model)
    : undefined
}

/** Query, key and value are one tensor. One dispatch rotates them and writes the cache. */
function findPacked(
  [packed, score, sum]: readonly NamedDispatch[],
  model: FusedModel,
): FoundAttention | undefined {
  if (!packed || !score || !sum || !isChain(packed, 'query', score, sum)) return undefined
  if (!cacheNames.every((name) => isSame(packed, name, score, name))) return undefined
  const shape = findShape(packed, { isPacked: true, isRotated: true }, model)
  const buffers = new Map<string, GPUBufferBinding | undefined>([
    ['query', packed.buffers.get('packed_qkv')],
    ['lastIndex', packed.buffers.get('seqlens')],
    ...listOutputs(packed, sum),
    ...listTables(packed),
  ])
  return shape && isBindable(buffers) ? { shape, buffers, dispatches: 3 } : undefined
}

/** @param rotation undefined if the query and the key are rotated already */
function findCopied(
  rotation: NamedDispatch | undefined,
  [copy, score, sum]: readonly NamedDispatch[],
  model: FusedModel,
): FoundAttention | undefined {
  if (!copy || !score || !sum) return undefined
  const isConnected = rotation
    ? isChain(rotation, 'q_output', score, sum) &&
      isSame(rotation, 'k_output', copy, 'key') &&
      isSame(rotation, 'seqlens', copy, 'seqlen_k')
    : isChain(score, 'q', score, sum)
  const isSameCache = cacheNames.every((name) => isSame(copy, name, score, name))
  const shape = findShape(copy, { isPacked: false, isRotated: rotation !== undefined }, model)
  if (!isConnected || !isSameCache || !shape) return undefined
  const buffers = new Map<string, GPUBufferBinding | undefined>([
    ['query', rotation ? rotation.buffers.get('q_input') : score.buffers.get('q')],
    ['key', rotation ? rotation.buffers.get('k_input') : copy.buffers.get('key')],
    ['value', copy.buffers.get('value')],
    ['lastIndex', copy.buffers.get('seqlen_k')],
    ...listOutputs(copy, sum),
    ...(rotation ? listTables(rotation) : []),
  ])
  return isBindable(buffers) ? { shape, buffers, dispatches: rotation ? 4 : 3 } : undefined
}

const cacheNames = ['present_key', 'present_value']

/** True if the query goes into the score, the score into the sum, and all of them have the expected kernels. */
function isChain(first: NamedDispatch, query: string, score: NamedDispatch, sum: NamedDispatch): boolean {
  return (
    score.names === scoreKernel &&
    sum.names === sumKernel &&
    isSame(first, query, score, 'q') &&
    isSame(score, 'out_split_vx', sum, 'input')
  )
}

function listOutputs(writer: NamedDispatch, sum: NamedDispatch) {
  return [
    ['keys', writer.buffers.get('present_key')],
    ['values', writer.buffers.get('present_value')],
    ['output', sum.buffers.get('output')],
  ] as const
}

function listTables({ buffers }: NamedDispatch) {
  return [
    ['cosines', buffers.get('cos_cache')],
    ['sines', buffers.get('sin_cache')],
  ] as const
}

function isSame(one: NamedDispatch, oneName: string, other: NamedDispatch, otherName: string): boolean {
  const buffer = one.buffers.get(oneName)?.buffer
  return buffer !== undefined && buffer === other.buffers.get(otherName)?.buffer
}

/** Finds the shape of the attention whose cache `writer` writes. */
function findShape(
  writer: NamedDispatch,
  { isPacked, isRotated }: { readonly isPacked: boolean; readonly isRotated: boolean },
  { attentions, caches, buffers }: FusedModel,
): AttentionShape | undefined {
  const keys = writer.buffers.get('present_key')?.buffer
  const cache = caches.find((_, index) => buffers[index] === keys)
  const attention = attentions.find(({ pastKey }) => pastKey === cache?.past)
  if (!cache || !attention) return undefined
  const { heads, cacheHeads, scale, rotaryWidth, isInterleaved } = attention
  const { type, headSize } = cache
  if (cache.heads !== cacheHeads || (isRotated && rotaryWidth === undefined)) return undefined
  const rotary = isRotated ? { width: rotaryWidth!, isInterleaved } : undefined
  const shape = {
    type,
    heads,
    cacheHeads,
    headSize,
    scale: scale ?? 1 / Math.sqrt(headSize),
    isPacked,
    conversations: undefined,
    rotary,
  }
  return canComputeAttention(shape) ? shape : undefined
}

/** WebGPU allows no buffer twice in a dispatch that writes it. */
function isBindable(
  buffers: ReadonlyMap<string, GPUBufferBinding | undefined>,
): buffers is ReadonlyMap<string, GPUBufferBinding> {
  const all = [...buffers.values()].map((binding) => binding?.buffer)
  return !all.includes(undefined) && new Set(all).size === all.length
}

function findPipeline(
  device: GPUDevice,
  shape: AttentionShape,
  pipelines: AttentionPipelines,
): Promise<GPUComputePipeline> {
  const key = JSON.stringify(shape)
  const pipeline = pipelines.get(key) ?? createPipeline(device, shape)
  pipelines.set(key, pipeline)
  // If it fails, the next one who needs it tries again.
  pipeline.catch(() => pipelines.delete(key))
  return pipeline
}

function createPipeline(device: GPUDevice, shape: AttentionShape): Promise<GPUComputePipeline> {
  const module = device.createShaderModule({ code: writeAttentionKernel(shape) })
  return device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'attend' } })
}

/** @param conversations the number of conversations that the dispatch computes */
function createDispatch(
  device: GPUDevice,
  { shape, buffers, pipeline }: FusedPart,
  conversations = 1,
): Dispatch {
  const entries = Array.from(listBindings(shape), ([binding, name]) => ({
    binding,
    resource: buffers.get(name)!,
  }))
  const group = createOwnBindGroup(device, { layout: pipeline.getBindGroupLayout(0), entries })
  return {
    pipeline,
    bindGroups: [group],
    workgroups: { kind: 'direct', count: [shape.heads, conversations, 1] },
  }
}
