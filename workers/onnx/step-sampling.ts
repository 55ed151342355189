import { RivuletError } from '../../lib/contract/errors.js'
import { replayDispatches, type Dispatch } from './dispatch-recorder.js'
import { createGpuRanking, rankingSize, readRanking, type GpuRanking } from './gpu-ranking.js'
import { createGpuSampler, type GpuSampler, type SamplerBuffers } from './gpu-sampler.js'
import { createOwnEncoder } from './own-encoder.js'
import type { Ranking } from './ranking.js'
import { createReadbackPool, unwrittenWord } from './readback-pool.js'
import { noToken } from './sampler-arithmetic.js'

/** The size of a token's id, in bytes: an int64. */
export const tokenIdSize = 8
/** The most that a step reads back, in bytes: the token, then its ranking. */
export const sampledSize = tokenIdSize + rankingSize

/** Creates the error for work that the GPU did not run. The KV caches of its conversations are not complete. */
export function createDroppedError(): RivuletError {
  return new RivuletError(
    'memory-exceeded',
    'The GPU could not compute the next tokens, probably because its memory is full. Use a smaller model or dtype, a shorter conversation, or fewer generations at the same time.',
  )
}

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
  /** Adds the dispatches that sample the token at `position`, and rank it if the answer needs that. */
  encode(pass: GPUComputePassEncoder, position: number): void
  /** The size of the result of `encode`, in bytes: at most `sampledSize`. */
  readonly resultSize: number
  /**
   * Copies the result of `encode` into a buffer, from `offset` on.
   * @returns a function that reads the token from the words of that buffer, or throws `memory-exceeded` if the GPU did not run the step
   */
  copyResult(
    encoder: GPUCommandEncoder,
    readback: GPUBuffer,
    offset: number,
  ): (words: Uint32Array<ArrayBuffer>) => SampledToken
  /** Submits dispatches, and then those that sample the token at `position`. */
  submit(position: number, dispatches: readonly Dispatch[]): Promise<SampledToken>
  destroy(): void
}

export function createStepSampling(device: GPUDevice, buffers: SamplerBuffers): StepSampling {
  const sampler = createGpuSampler(device, buffers)
  const readbacks = createReadbackPool(device, sampledSize)
  /** Created for the first answer with log-probabilities. */
  let gpuRanking: GpuRanking | undefined
  /** The number of tokens that each step of the answer ranks; undefined if it ranks none. */
  let rankCount: number | undefined

  function encode(pass: GPUComputePassEncoder, position: number): void {
    sampler.encode(pass, position)
    if (rankCount !== undefined) gpuRanking?.encode(pass)
  }

  const copyResult: StepSampling['copyResult'] = (encoder, readback, offset) => {
    const count = rankCount
    encoder.copyBufferToBuffer(buffers.tokenId, 0, readback, offset, tokenIdSize)
    if (count !== undefined && gpuRanking)
      encoder.copyBufferToBuffer(gpuRanking.result, 0, readback, offset + tokenIdSize, rankingSize)
    return (words) => readSampled(words.subarray(offset / 4, (offset + sampledSize) / 4), count)
  }

  return {
    ...sampler,
    encode,
    get resultSize() {
      return rankCount === undefined ? tokenIdSize : sampledSize
    },
    copyResult,
    start(count, ...parameters) {
      sampler.start(...parameters)
      rankCount = count
      if (count === undefined) return
      gpuRanking ??= createGpuRanking(device, buffers)
      gpuRanking.setCount(count)
    },
    async submit(position, dispatches) {
      const encoder = createOwnEncoder(device)
      const pass = encoder.beginComputePass()
      replayDispatches(pass, dispatches)
      encode(pass, position)
      pass.end()
      const [readback, read] = readbacks.take(this.resultSize)
      const readResult = copyResult(encoder, readback, 0)
      device.queue.submit([encoder.finish()])
      return readResult(await read())
    },
    destroy() {
      sampler.destroy()
      gpuRanking?.destroy()
      readbacks.destroy()
    },
  }
}

/**
 * @param words the token as an int64, then the ranking, if the answer has one
 * @throws RivuletError `memory-exceeded` if the GPU did not run the step
 */
function readSampled(words: Uint32Array<ArrayBuffer>, rankCount: number | undefined): SampledToken {
  const [id = noToken] = words
  if (id === unwrittenWord) throw createDroppedError()
  return {
    id,
    ranking: rankCount === undefined ? undefined : readRanking(words.subarray(tokenIdSize / 4), rankCount),
  }
}
