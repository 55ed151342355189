import { replayDispatches, type Dispatch } from './dispatch-recorder.js'
import { createGpuRanking, rankingSize, readRanking, type GpuRanking } from './gpu-ranking.js'
import { createGpuSampler, type GpuSampler, type SamplerBuffers } from './gpu-sampler.js'
import { createOwnEncoder } from './own-encoder.js'
import type { Ranking } from './ranking.js'
import { createReadbackPool } from './readback-pool.js'
import { noToken } from './sampler-arithmetic.js'

/** The size of an int64, in bytes. */
const tokenIdSize = 8

/** What a step reads back. */
export interface SampledToken {
  /** `noToken` if the logits are invalid. */
  readonly id: number
  /** Undefined if the answer has no rankings. */
  readonly ranking: Ranking | undefined
}

/** Samples the tokens of an answer on the GPU, ranks them if the answer needs that, and reads them back. */
export interface StepSampling extends Pick<GpuSampler, 'setMask' | 'addTokens' | 'noteSampled'> {
  /** @param rankCount as in `Decoder.startAnswer` */
  start(rankCount: number | undefined, ...parameters: Parameters<GpuSampler['start']>): void
  /** Submits dispatches, and then those that sample the token at `position`. */
  submit(position: number, dispatches: readonly Dispatch[]): Promise<SampledToken>
  destroy(): void
}

export function createStepSampling(device: GPUDevice, buffers: SamplerBuffers): StepSampling {
  const sampler = createGpuSampler(device, buffers)
  const readbacks = createReadbackPool(device, tokenIdSize + rankingSize)
  /** Created for the first answer with log-probabilities. */
  let gpuRanking: GpuRanking | undefined
  /** The number of tokens that each step of the answer ranks; undefined if it ranks none. */
  let rankCount: number | undefined

  return {
    ...sampler,
    start(count, ...parameters) {
      sampler.start(...parameters)
      rankCount = count
      if (count === undefined) return
      gpuRanking ??= createGpuRanking(device, buffers)
      gpuRanking.setCount(count)
    },
    async submit(position, dispatches) {
      const count = rankCount
      const ranks = count === undefined ? undefined : gpuRanking
      const encoder = createOwnEncoder(device)
      const pass = encoder.beginComputePass()
      replayDispatches(pass, dispatches)
      sampler.encode(pass, position)
      ranks?.encode(pass)
      pass.end()
      const [readback, read] = readbacks.take()
      encoder.copyBufferToBuffer(buffers.tokenId, 0, readback, 0, tokenIdSize)
      if (ranks) encoder.copyBufferToBuffer(ranks.result, 0, readback, tokenIdSize, rankingSize)
      device.queue.submit([encoder.finish()])
      const words = await read(ranks ? tokenIdSize + rankingSize : tokenIdSize)
      return readSampled(words, count)
    },
    destroy() {
      sampler.destroy()
      gpuRanking?.destroy()
      readbacks.destroy()
    },
  }
}

/** @param words the token as an int64, then the ranking, if the answer has one */
function readSampled(words: Uint32Array<ArrayBuffer>, rankCount: number | undefined): SampledToken {
  const [id = noToken] = words
  return {
    id,
    ranking: rankCount === undefined ? undefined : readRanking(words.subarray(tokenIdSize / 4), rankCount),
  }
}
