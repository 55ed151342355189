import type { CapturedStep, Dispatch } from './dispatch-recorder.js'
import { nameDispatches, type NamedDispatch } from './named-dispatches.js'
import { createOwnBindGroup } from './own-encoder.js'
import { readBindingNames } from './pipeline-names.js'
import { bufferUsage } from './webgpu-flags.js'

/**
 * The most bytes of weights that a merged product may read in addition, because it reads them once for each conversation. A
 * dispatch costs 24–71 µs in a browser (arXiv 2604.02344), and two to four are saved. A slow GPU reads 4 MiB in 80 µs.
 */
const maxExtraBytes = 2 ** 22

/** From this number of conversations on, ONNX Runtime's products read the weights once for all of them. */
const fewestTiledRows = 4

/** ONNX Runtime 1.30.0's products of several weights for one token, by a part of the names of their buffers. */
const mergedKernels = [
  { names: 'q_b,q_scales_b,k_b,k_scales_b,v_b,v_scales_b', parts: ['q', 'k', 'v'], batchCount: 8 },
  { names: 'gate_b,gate_scales_b,up_b,up_scales_b', parts: ['gate', 'up'], batchCount: 7 },
] as const
type MergedKernel = (typeof mergedKernels)[number]

/** The norms that a merged product contains, with the names that their buffers have in it. */
const norms = new Map<string, Readonly<Record<string, string>>>([
  ['x,scale,y', { input_a: 'x', norm_scale: 'scale' }],
  [
    'x,skip,gamma,output,input_skip_bias_sum',
    { input_a: 'x', skip: 'skip', norm_scale: 'gamma', input_skip_bias_sum: 'input_skip_bias_sum' },
  ],
])

const isProduct = (names: string) => /^input_a,input_b,scales(_b)?,output$/.test(names)
const activationKernel = 'gate,up,output'

/**
 * Replaces the products of a step of several conversations by the kernels that ONNX Runtime has for one token only: one for
 * query, key and value, and one for gate, up and the activation, both with the norm before them if the device has enough storage
 * buffers. These kernels have a count of batches, which ONNX Runtime does not use.
 * @param alone the recorded step of one conversation
 */
export function mergeProducts(
  device: GPUDevice,
  step: readonly NamedDispatch[],
  alone: CapturedStep,
  rows: number,
): readonly NamedDispatch[] {
  const merged = nameDispatches(alone).filter(({ names }) => findKernel(names))
  const result: NamedDispatch[] = []
  for (let index = 0; index < step.length;) {
    const found = merged.map((each) => findProducts(step, index, each)).find((each) => each !== undefined)
    const dispatch = found && createDispatch(device, found, alone, rows)
    result.push(dispatch ? { dispatch, names: '', buffers: new Map() } : step[index]!)
    index += dispatch ? found.count : 1
  }
  return result
}

function findKernel(names: string): MergedKernel | undefined {
  return mergedKernels.find((kernel) => names.includes(kernel.names))
}

interface FoundProducts {
  /** The dispatch of the step of one conversation that computes the same. */
  readonly source: NamedDispatch
  /** The buffers that differ from those of `source`, by their names in it. */
  readonly buffers: ReadonlyMap<string, GPUBufferBinding>
  /** The number of dispatches that it replaces. */
  readonly count: number
}

/** Finds the products at `index` that have the weights of a merged product. */
function findProducts(
  step: readonly NamedDispatch[],
  index: number,
  source: NamedDispatch,
): FoundProducts | undefined {
  const { parts } = findKernel(source.names)!
  const norm = source.buffers.has('norm_scale') ? step[index] : undefined
  const normNames = norm && norms.get(norm.names)
  if (norm && !normNames) return undefined
  const first = index + (norm ? 1 : 0)
  const products = step.slice(first, first + parts.length)
  const [input] = products.map(({ buffers }) => buffers.get('input_a'))
  const areSame = parts.every((part, place) => {
    const product = products[place]
    return (
      product !== undefined &&
      isProduct(product.names) &&
      product.buffers.get('input_a')?.buffer === input?.buffer &&
      product.buffers.get('input_b')?.buffer === source.buffers.get(`${part}_b`)?.buffer
    )
  })
  if (!areSame) return undefined
  const buffers = new Map<string, GPUBufferBinding | undefined>()
  if (norm && normNames) {
    const output = norm.buffers.get(norm.names === 'x,scale,y' ? 'y' : 'output')
    const scale = norm.buffers.get(normNames.norm_scale!)
    if (output?.buffer !== input?.buffer || scale?.buffer !== source.buffers.get('norm_scale')?.buffer)
      return undefined
    for (const [name, normName] of Object.entries(normNames)) buffers.set(name, norm.buffers.get(normName))
  } else buffers.set('input_a', input)
  const last = first + parts.length
  const activation = source.buffers.has('output') ? step[last] : undefined
  if (activation) {
    const isConnected =
      activation.names === activationKernel &&
      parts.every(
        (part, place) =>
          activation.buffers.get(part)?.buffer === products[place]!.buffers.get('output')?.buffer,
      )
    if (!isConnected) return undefined
    buffers.set('output', activation.buffers.get('output'))
  } else
    for (const [place, part] of parts.entries())
      buffers.set(`${part}_output`, products[place]!.buffers.get('output'))
  return isComplete(buffers) ? { source, buffers, count: last + (activation ? 1 : 0) - index } : undefined
}

function isComplete(
  buffers: ReadonlyMap<string, GPUBufferBinding | undefined>,
): buffers is ReadonlyMap<string, GPUBufferBinding> {
  return ![...buffers.values()].includes(undefined)
}

/** @returns undefined if the kernel is another one than expected, reads too many weights again, or would bind a buffer twice */
function createDispatch(
  device: GPUDevice,
  { source, buffers }: FoundProducts,
  { capture }: CapturedStep,
  rows: number,
): Dispatch | undefined {
  const { dispatch, names } = source
  const { pipeline, workgroups } = dispatch
  const { parts, batchCount } = findKernel(names)!
  const weights = parts.flatMap((part) => [`${part}_b`, `${part}_scales_b`])
  const weightBytes = weights.reduce((sum, name) => sum + source.buffers.get(name)!.buffer.size, 0)
  if (rows >= fewestTiledRows && weightBytes * (rows - 1) > maxExtraBytes) return undefined
  if (workgroups.kind !== 'direct') return undefined
  const [x, y, z] = workgroups.count
  if (x * rows > device.limits.maxComputeWorkgroupsPerDimension) return undefined
  const known = readBindingNames(pipeline)
  const entries = capture.bindGroups.get(dispatch.bindGroups[0]!) ?? []
  const replaced: GPUBindGroupEntry[] = []
  const bound = new Set<GPUBuffer>()
  for (const { binding, resource } of entries) {
    if (!('buffer' in resource)) return undefined
    const name = known?.get(binding)
    const uniforms = name === undefined ? capture.uniforms.get(resource.buffer) : undefined
    if (name === undefined && !uniforms) return undefined
    const buffer = uniforms
      ? writeBatchCount(device, uniforms, batchCount, x * y * z, rows)
      : (name !== undefined && buffers.get(name)) || resource
    if (!buffer || bound.has(buffer.buffer)) return undefined
    bound.add(buffer.buffer)
    replaced.push({ binding, resource: buffer })
  }
  const group = createOwnBindGroup(device, { layout: pipeline.getBindGroupLayout(0), entries: replaced })
  return { pipeline, bindGroups: [group], workgroups: { kind: 'direct', count: [x * rows, y, z] } }
}

/**
 * Creates the uniforms of a kernel with another count of batches.
 * @returns undefined if they are not those of the expected kernel: before the count is the number of workgroups for a batch
 */
function writeBatchCount(
  device: GPUDevice,
  uniforms: Uint8Array,
  batchCount: number,
  workgroups: number,
  rows: number,
): GPUBufferBinding | undefined {
  const words = new Uint32Array(uniforms.slice().buffer)
  if (words[batchCount] !== 1 || words[batchCount - 1] !== workgroups) return undefined
  words[batchCount] = rows
  // The number of elements in the tensor that is added before the norm; 0 if there is none.
  words[batchCount + 1]! *= rows
  const { uniform, copyTarget } = bufferUsage
  const buffer = device.createBuffer({
    size: Math.ceil(words.byteLength / 16) * 16,
    usage: uniform | copyTarget,
  })
  device.queue.writeBuffer(buffer, 0, words)
  return { buffer }
}
