import {
  computeNumbers,
  scrambleSeed,
  toBits,
  unreachable,
  type SamplingNumbers,
} from './sampler-arithmetic.js'
import { promptMark } from './sampler-kernel-arithmetic.js'
import { groupTokens, masksOffset, samplerKernel, settingsSize, stateSize } from './sampler-kernel.js'
import { readLogitBias, type Sampling, type TokenMask } from './sampler.js'
import { bufferUsage } from './webgpu-flags.js'
import { createOwnBindGroup } from './own-encoder.js'

/** Runs `sampleToken` on the GPU. Chooses the same tokens for the same logits, and reads back no logits. */
export interface GpuSampler {
  /**
   * Starts or resumes an answer. The positions in the answer count from 0.
   * @param promptIds the tokens of the prompt, for the repetition penalty
   * @param answerIds the tokens of the answer that were generated so far, for the penalties
   * @throws RivuletError `invalid-option` if `logitBias` names a token outside the vocabulary
   */
  start(sampling: Sampling, seed: number, promptIds: readonly number[], answerIds?: readonly number[]): void
  /**
   * Adds the dispatches that sample a token to `pass`. The dispatches write the token's id, or `noToken`, and add the token
   * to the history. Creates no buffer and no bind group. The GPU counts the positions itself, so one submit may contain
   * several tokens. If `position` does not follow the previous one, this call writes the position to the GPU. The new
   * position then applies to all work that is not submitted yet.
   */
  encode(pass: GPUComputePassEncoder, position: number): void
  /**
   * Sets which tokens can be chosen, for all work that is not submitted yet. `start` allows all of them.
   * @param mask as in `sampleToken`
   */
  setMask(mask: TokenMask | undefined): void
  /** Adds tokens to the history that were not sampled. */
  addTokens(ids: readonly number[]): void
  /** Reports a sampled token, so that `addTokens` counts from its number. */
  noteSampled(id: number): void
  /** Frees the sampler's buffers, but not those of `SamplerBuffers`. */
  destroy(): void
}

/** The buffers that the sampler shares with the decoder. Each buffer needs `GPUBufferUsage.STORAGE`. */
export interface SamplerBuffers {
  /** The logits after the newest token, [vocabulary]. The size of the buffer is a multiple of 4 bytes. */
  readonly logits: GPUBuffer
  readonly logitsType: 'float32' | 'float16'
  readonly vocabulary: number
  /** The buffer for the sampled token: 8 bytes, an int64. */
  readonly tokenId: GPUBuffer
}

/** The entry points of the kernel. `choose` runs in one workgroup; the others run over the whole vocabulary. */
export const samplerEntryPoints = ['shortlist', 'survey', 'weigh', 'gather', 'choose'] as const
type EntryPoint = (typeof samplerEntryPoints)[number]

/** Creates a sampler, and allocates everything that later calls need. `start` compiles what an answer needs of the kernel. */
export function createGpuSampler(device: GPUDevice, buffers: SamplerBuffers): GpuSampler {
  const { vocabulary } = buffers
  const internal = createInternalBuffers(device, vocabulary)
  const layout = createLayout(device)
  const findPipeline = preparePipelines(device, layout, buffers.logitsType)
  const bound = [
    internal.settings,
    buffers.logits,
    internal.marks,
    internal.keys,
    internal.list,
    internal.state,
    buffers.tokenId,
    internal.mask,
  ]
  const bindGroup = createOwnBindGroup(device, {
    layout,
    entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
  const groups = Math.ceil(vocabulary / groupTokens)
  let dispatches: readonly (readonly [pipeline: GPUComputePipeline, workgroups: number])[] = []
  let nextPosition = 0
  let isMasked = false
  /** The first number of each token's marks; undefined if nothing counts the tokens. */
  let marks: Map<number, number> | undefined

  function count(id: number): number {
    const mark = (marks?.get(id) ?? 0) + 1
    marks?.set(id, mark)
    return mark
  }

  return {
    start(sampling, seed, promptIds, answerIds = []) {
      const bias = readLogitBias(sampling, vocabulary)
      const numbers = computeNumbers(sampling, vocabulary)
      const { penalty, frequency, presence } = numbers
      const adjusts = penalty !== 1 || frequency !== 0 || presence !== 0 || bias.length > 0
      marks = adjusts ? new Map(promptIds.map((id) => [id, promptMark])) : undefined
      isMasked = false
      if (marks) {
        for (const id of answerIds) count(id)
        device.queue.writeBuffer(internal.marks, 0, packMarks(vocabulary, marks, bias))
      }
      device.queue.writeBuffer(internal.settings, 0, packSettings(numbers, vocabulary, seed, adjusts))
      device.queue.writeBuffer(internal.state, 0, new Uint8Array(stateSize))
      dispatches = chooseDispatches(numbers).map((name) => [
        findPipeline(name),
        name === 'choose' ? 1 : groups,
      ])
      nextPosition = 0
    },
    encode(pass, position) {
      if (position !== nextPosition) device.queue.writeBuffer(internal.state, 0, Uint32Array.of(position))
      nextPosition = position + 1
      pass.setBindGroup(0, bindGroup)
      for (const [pipeline, workgroups] of dispatches) {
        pass.setPipeline(pipeline)
        pass.dispatchWorkgroups(workgroups)
      }
    },
    setMask(mask) {
      if (mask) device.queue.writeBuffer(internal.mask, 0, mask.subarray(0, Math.ceil(vocabulary / 32)))
      if ((mask !== undefined) !== isMasked) {
        isMasked = mask !== undefined
        device.queue.writeBuffer(internal.settings, masksOffset, Uint32Array.of(isMasked ? 1 : 0))
      }
    },
    noteSampled: (id) => void (marks && count(id)),
    addTokens(ids) {
      if (!marks) return
      for (const id of ids) device.queue.writeBuffer(internal.marks, id * 8, Uint32Array.of(count(id)))
    },
    destroy() {
      for (const buffer of Object.values(internal)) buffer.destroy()
    },
  }
}

/** Returns as few dispatches as possible: on a real GPU, the overhead of a dispatch exceeds its computation time. */
function chooseDispatches({ topK, topP, largestExponent }: SamplingNumbers): readonly EntryPoint[] {
  if (topK > 0 || topP > 0) return ['survey', 'weigh', 'gather', 'choose']
  if (largestExponent !== unreachable) return ['survey', 'gather', 'choose']
  return ['shortlist', 'choose']
}

function createInternalBuffers(device: GPUDevice, vocabulary: number) {
  const create = (size: number, usage: number) =>
    device.createBuffer({ size, usage: usage | bufferUsage.copyTarget })
  return {
    settings: create(settingsSize, bufferUsage.uniform),
    marks: create(vocabulary * 8, bufferUsage.storage),
    keys: create(vocabulary * 4, bufferUsage.storage),
    list: create(vocabulary * 12, bufferUsage.storage),
    state: create(stateSize, bufferUsage.storage),
    mask: create(Math.ceil(vocabulary / 32) * 4, bufferUsage.storage),
  }
}

/** Declares the bindings of the kernel, in order. All entry points share one bind group. */
function createLayout(device: GPUDevice): GPUBindGroupLayout {
  const types = [
    'uniform',
    'read-only-storage',
    ...Array.from({ length: 5 }, () => 'storage' as const),
    'read-only-storage',
  ] as const
  // GPUShaderStage.COMPUTE
  const visibility = 4
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility, buffer: { type } })),
  })
}

/** Returns a function that compiles the pipeline of an entry point when it is first needed. */
function preparePipelines(
  device: GPUDevice,
  bindGroupLayout: GPUBindGroupLayout,
  logitsType: SamplerBuffers['logitsType'],
): (name: EntryPoint) => GPUComputePipeline {
  const module = device.createShaderModule({ code: samplerKernel })
  const layout = device.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] })
  const readsLogits: ReadonlySet<EntryPoint> = new Set(['shortlist', 'survey'])
  const pipelines = new Map<EntryPoint, GPUComputePipeline>()
  return (entryPoint) => {
    const constants = readsLogits.has(entryPoint) ? { isHalf: logitsType === 'float16' ? 1 : 0 } : {}
    const pipeline =
      pipelines.get(entryPoint) ??
      device.createComputePipeline({ layout, compute: { module, entryPoint, constants } })
    pipelines.set(entryPoint, pipeline)
    return pipeline
  }
}

/** Packs the `Settings` of the kernel. */
function packSettings(
  numbers: SamplingNumbers,
  vocabulary: number,
  seed: number,
  adjusts: boolean,
): Uint32Array<ArrayBuffer> {
  const { topK, topP, largestExponent } = numbers
  const zero = 0
  return Uint32Array.of(
    vocabulary,
    topK,
    topP,
    largestExponent,
    scrambleSeed(seed),
    adjusts ? 1 : 0,
    zero,
    toBits(numbers.noiseScale),
    toBits(numbers.exponentScale),
    toBits(numbers.reach),
    toBits(numbers.penalty),
    toBits(numbers.reward),
    toBits(numbers.frequency),
    toBits(numbers.presence),
    0,
  )
}

/**
 * Packs the `marks` of the kernel. The marks of a token are: whether the prompt contains it, how often the answer contains
 * it, and its bias.
 */
function packMarks(
  vocabulary: number,
  marks: ReadonlyMap<number, number>,
  bias: readonly (readonly [id: number, bias: number])[],
): Uint32Array<ArrayBuffer> {
  const packed = new Uint32Array(vocabulary * 2)
  for (const [id, mark] of marks) packed[id * 2] = mark
  for (const [id, amount] of bias) packed[id * 2 + 1] = toBits(amount)
  return packed
}
