import { clearBuffers } from './check-steps.js'
import { copyCache, createFixedCache, type FixedCache } from './fixed-cache.js'
import type { GpuModel } from './gpu-model.js'

/** The tokens in the longest prompt: as many as in those of the self-test, so that no other shaders are compiled. */
const longestTokens = 20

/** The number of consecutive steps of each conversation. The second one reads what the first one has written into the KV cache. */
export const probeSteps = 2

/** A conversation that tests a batch. Each has another length and other tokens. */
export interface BatchProbe {
  readonly cache: Pick<FixedCache, 'buffers'>
  /** The number of tokens before the first step: a prefix of the prompt. */
  readonly length: number
  /** The token of each step. */
  readonly tokenIds: readonly number[]
  /** The logits after each step, computed alone. */
  readonly logits: Float32Array[]
  /** Fills the cache as before the first step. */
  reset(): void
}

/** The conversations that test a batch, and their common prompt. */
export interface BatchProbes {
  readonly promptIds: readonly number[]
  /** From the longest to the shortest, so that their steps can be computed in one cache, in this order. */
  readonly list: readonly BatchProbe[]
  /** Copies the computed prompt. */
  savePrompt(cache: FixedCache): void
  destroy(): void
}

/** @returns undefined if the context is too short */
export function createProbes(
  { runtime, device, caches, contextLength, vocabulary }: GpuModel,
  maxRows: number,
): BatchProbes | undefined {
  const promptTokens = Math.min(longestTokens, contextLength - probeSteps)
  if (promptTokens < maxRows) return undefined
  const prompt = createFixedCache(runtime, device, caches, promptTokens)
  // Each has a cache of its own, because WebGPU allows no buffer twice in a dispatch that writes it.
  const copies = Array.from({ length: maxRows }, (_, row) =>
    createFixedCache(runtime, device, caches, promptTokens - row + probeSteps),
  )
  return {
    promptIds: Array.from({ length: promptTokens }, (_, id) => id % vocabulary),
    list: copies.map((cache, row) => ({
      cache,
      length: promptTokens - row,
      tokenIds: Array.from({ length: probeSteps }, (_, step) => (probeSteps * row + step + 1) % vocabulary),
      logits: [],
      reset() {
        clearBuffers(device, cache.buffers)
        copyCache(device, caches, prompt, cache, promptTokens - row)
      },
    })),
    savePrompt: (cache) => copyCache(device, caches, cache, prompt, promptTokens),
    destroy() {
      for (const cache of [prompt, ...copies]) cache.destroy()
    },
  }
}
