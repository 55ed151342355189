import type { SamplerBuffers } from './gpu-sampler.js'
import { mostRanked, type RankedToken, type Ranking } from './ranking.js'
import { rankingKernel, rankingSizes } from './ranking-kernel.js'
import { maskedKey, toLogit } from './sampler-arithmetic.js'
import { groupThreads } from './sampler-kernel-sums.js'
import { bufferUsage } from './webgpu-flags.js'
import { createOwnBindGroup } from './own-encoder.js'

/** The size of `GpuRanking.result`, in bytes. */
export const rankingSize = rankingSizes.ranks

/** Does the work of `rankLogits` on the GPU, so that 168 bytes are read back instead of a vocabulary of logits. */
export interface GpuRanking {
  /** What `readRanking` reads: `rankingSize` bytes, which can be copied after the dispatches. */
  readonly result: GPUBuffer
  /** Sets the number of tokens to find, for all work that is not submitted yet. @param count from 0 to `mostRanked` */
  setCount(count: number): void
  /** Adds the dispatches to `pass`, after those of the sampler. Creates no buffer and no bind group. */
  encode(pass: GPUComputePassEncoder): void
  destroy(): void
}

/** Creates a ranking of the logits that the sampler samples from: compiles the kernel and allocates its buffers. */
export function createGpuRanking(device: GPUDevice, buffers: SamplerBuffers): GpuRanking {
  const { vocabulary, logitsType } = buffers
  const fewestTokens = Math.ceil(vocabulary / groupThreads ** 2)
  const tokensPerThread = Math.min(rankingSizes.tokensPerThread, Math.max(4, fewestTokens))
  const groups = Math.ceil(vocabulary / (groupThreads * tokensPerThread))
  const { storage, uniform, copySource, copyTarget } = bufferUsage
  const settings = device.createBuffer({ size: rankingSizes.settings, usage: uniform | copyTarget })
  const groupRanks = device.createBuffer({ size: rankingSizes.ranks * groups, usage: storage })
  const result = device.createBuffer({ size: rankingSizes.ranks, usage: storage | copySource })
  const module = device.createShaderModule({ code: rankingKernel })
  const constants = { isHalf: logitsType === 'float16' ? 1 : 0 }
  const types = ['uniform', 'read-only-storage', 'read-only-storage', 'storage', 'storage'] as const
  // GPUShaderStage.COMPUTE
  const visibility = 4
  const bindGroupLayout = device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility, buffer: { type } })),
  })
  const layout = device.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] })
  const createPipeline = (entryPoint: 'rankGroups' | 'mergeGroups') =>
    device.createComputePipeline({ layout, compute: { module, entryPoint, constants } })
  const rankGroups = createPipeline('rankGroups')
  const mergeGroups = createPipeline('mergeGroups')
  const bindGroup = createOwnBindGroup(device, {
    layout: bindGroupLayout,
    entries: [settings, buffers.logits, buffers.tokenId, groupRanks, result].map((buffer, binding) => ({
      binding,
      resource: { buffer },
    })),
  })
  return {
    result,
    setCount(count) {
      const rounds = Math.max(1, count)
      device.queue.writeBuffer(settings, 0, Uint32Array.of(vocabulary, tokensPerThread, groups, rounds))
    },
    encode(pass) {
      pass.setBindGroup(0, bindGroup)
      pass.setPipeline(rankGroups)
      pass.dispatchWorkgroups(groups)
      pass.setPipeline(mergeGroups)
      pass.dispatchWorkgroups(1)
    },
    destroy() {
      for (const buffer of [settings, groupRanks, result]) buffer.destroy()
    },
  }
}

/**
 * Reads the bytes of `GpuRanking.result`.
 * @param count the number of tokens that were asked for. There are fewer if the vocabulary has fewer.
 */
export function readRanking(words: Uint32Array<ArrayBuffer>, count: number): Ranking {
  const [sumBits = 0, chosenKey = maskedKey, ...pairs] = words
  const tokens = Array.from({ length: mostRanked }, (_, rank): RankedToken => {
    const [key = maskedKey, id = 0] = pairs.slice(2 * rank)
    return { id, logit: readLogit(key) }
  })
  const [sum = 0] = new Float32Array(Uint32Array.of(sumBits).buffer)
  return {
    logSum: tokens[0]!.logit + Math.log(sum),
    chosenLogit: readLogit(chosenKey),
    top: tokens.slice(0, count).filter(({ id }) => id !== noId),
  }
}

/** The id of the places that no token takes, because the vocabulary is smaller than the number of places. */
const noId = 0xffffffff

function readLogit(key: number): number {
  return key === maskedKey ? -Infinity : toLogit(key)
}
