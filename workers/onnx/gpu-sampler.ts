import {
  computeNumbers,
  scrambleSeed,
  toBits,
  unreachable,
  type SamplingNumbers,
} from './sampler-arithmetic.js'
import { promptMark } from './sampler-kernel-arithmetic.js'
import { groupTokens, samplerKernel, settingsSize, stateSize } from './sampler-kernel.js'
import { readLogitBias, type Sampling } from './sampler.js'
import { bufferUsage } from './webgpu-flags.js'

/** `sampleToken` on the GPU: the same tokens for the same logits, of which none leaves the GPU. */
export interface GpuSampler {
  /**
   * Begins an answer, whose positions count from 0, or goes on with one.
   * @param promptIds the tokens before it, for the repetition penalty
   * @param saidIds what it has already, for the penalties
   * @throws RivuletError `invalid-option` where `logitBias` names a token that the vocabulary has not
   */
  start(sampling: Sampling, seed: number, promptIds: readonly number[], saidIds?: readonly number[]): void
  /**
   * Adds the dispatches that choose a token: they write its id, or `noToken`, and count it as seen. Makes no buffer
   * and no bind group. The GPU counts the positions itself, so that several tokens may go into one submit; only a
   * position that does not follow the last one is written, and then for all that is not submitted yet.
   */
  encode(pass: GPUComputePassEncoder, position: number): void
  /** Frees its own buffers; the ones given stay. */
  destroy(): void
}

/** What the sampler reads and writes; all have the usage STORAGE. */
export interface SamplerBuffers {
  /** [vocabulary], behind the newest token; a multiple of 4 bytes. */
  readonly logits: GPUBuffer
  readonly logitsType: 'float32' | 'float16'
  readonly vocabulary: number
  /** 8 bytes, for an int64. */
  readonly tokenId: GPUBuffer
}

/** A dispatch over the vocabulary, or by `choose` of one workgroup. */
type EntryPoint = 'shortlist' | 'survey' | 'weigh' | 'gather' | 'choose'

/** Compiles the kernel; what it needs for any request is made here. */
export function createGpuSampler(device: GPUDevice, buffers: SamplerBuffers): GpuSampler {
  const { vocabulary } = buffers
  const own = createOwnBuffers(device, vocabulary)
  const layout = createLayout(device)
  const pipelines = createPipelines(device, layout, buffers.logitsType)
  const bound = [own.settings, buffers.logits, own.marks, own.keys, own.list, own.state, buffers.tokenId]
  const bindGroup = device.createBindGroup({
    layout,
    entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
  const groups = Math.ceil(vocabulary / groupTokens)
  let dispatches: readonly EntryPoint[] = []
  let nextPosition = 0

  return {
    start(sampling, seed, promptIds, saidIds = []) {
      const bias = readLogitBias(sampling, vocabulary)
      const numbers = computeNumbers(sampling, vocabulary)
      const { penalty, frequency, presence } = numbers
      const adjusts = penalty !== 1 || frequency !== 0 || presence !== 0 || bias.length > 0
      if (adjusts) device.queue.writeBuffer(own.marks, 0, packMarks(vocabulary, promptIds, saidIds, bias))
      device.queue.writeBuffer(own.settings, 0, packSettings(numbers, vocabulary, seed, adjusts))
      device.queue.writeBuffer(own.state, 0, new Uint8Array(stateSize))
      dispatches = chooseDispatches(numbers)
      nextPosition = 0
    },
    encode(pass, position) {
      if (position !== nextPosition) device.queue.writeBuffer(own.state, 0, Uint32Array.of(position))
      nextPosition = position + 1
      pass.setBindGroup(0, bindGroup)
      for (const name of dispatches) {
        pass.setPipeline(pipelines[name])
        pass.dispatchWorkgroups(name === 'choose' ? 1 : groups)
      }
    },
    destroy() {
      for (const buffer of Object.values(own)) buffer.destroy()
    },
  }
}

/** No more dispatches than the request needs: each costs a real GPU more than what it computes. */
function chooseDispatches({ topK, topP, largestExponent }: SamplingNumbers): readonly EntryPoint[] {
  if (topK > 0 || topP > 0) return ['survey', 'weigh', 'gather', 'choose']
  if (largestExponent !== unreachable) return ['survey', 'gather', 'choose']
  return ['shortlist', 'choose']
}

function createOwnBuffers(device: GPUDevice, vocabulary: number) {
  const create = (size: number, usage: number) =>
    device.createBuffer({ size, usage: usage | bufferUsage.copyTarget })
  return {
    settings: create(settingsSize, bufferUsage.uniform),
    marks: create(vocabulary * 8, bufferUsage.storage),
    keys: create(vocabulary * 4, bufferUsage.storage),
    list: create(vocabulary * 12, bufferUsage.storage),
    state: create(stateSize, bufferUsage.storage),
  }
}

/** The kernel's bindings in their order: all entry points share one bind group. */
function createLayout(device: GPUDevice): GPUBindGroupLayout {
  const types = [
    'uniform',
    'read-only-storage',
    ...Array.from({ length: 5 }, () => 'storage' as const),
  ] as const
  // GPUShaderStage.COMPUTE
  const visibility = 4
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility, buffer: { type } })),
  })
}

function createPipelines(
  device: GPUDevice,
  bindGroupLayout: GPUBindGroupLayout,
  logitsType: SamplerBuffers['logitsType'],
): Record<EntryPoint, GPUComputePipeline> {
  const module = device.createShaderModule({ code: samplerKernel })
  const layout = device.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] })
  const create = (entryPoint: EntryPoint, constants: Record<string, number> = {}) =>
    device.createComputePipeline({ layout, compute: { module, entryPoint, constants } })
  const readsHalves = { isHalf: logitsType === 'float16' ? 1 : 0 }
  return {
    shortlist: create('shortlist', readsHalves),
    survey: create('survey', readsHalves),
    weigh: create('weigh'),
    gather: create('gather'),
    choose: create('choose'),
  }
}

/** The kernel's `Settings`. */
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
  )
}

/** The kernel's `marks`: for each token whether the prompt has it, how often the answer has it, and its bias. */
function packMarks(
  vocabulary: number,
  promptIds: readonly number[],
  saidIds: readonly number[],
  bias: readonly (readonly [id: number, bias: number])[],
): Uint32Array<ArrayBuffer> {
  const marks = new Uint32Array(vocabulary * 2)
  for (const id of promptIds) marks[id * 2] = promptMark
  for (const id of saidIds) marks[id * 2]! += 1
  for (const [id, amount] of bias) marks[id * 2 + 1] = toBits(amount)
  return marks
}
