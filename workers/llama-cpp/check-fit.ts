import { createMemoryError, limitMemory } from '../memory-exceeded.js'
import { countCacheBytes } from './cache-size.js'
import type { GgufHeader } from './gguf-header.js'

/** What decides how much memory a model may use. */
export interface FitLimits {
  /** The length of the KV cache, in tokens. */
  readonly contextLength: number
  /**
   * True if the weights go to the GPU while they are read. They then need no memory of WebAssembly. Without a GPU, or if the
   * runtime copies the whole file first, they must fit into it.
   */
  readonly usesGpu: boolean
  /** The option `memoryBudgetBytes`. */
  readonly budgetBytes: number | undefined
}

/** Checks that a model and its KV cache fit into the memory. @throws RivuletError `memory-exceeded` */
export function checkFit(
  files: readonly Pick<Blob, 'size'>[],
  { cacheSize }: Pick<GgufHeader, 'cacheSize'>,
  { contextLength, usesGpu, budgetBytes }: FitLimits,
): void {
  const weightBytes = files.reduce((sum, { size }) => sum + size, 0)
  const neededBytes = weightBytes + countCacheBytes(cacheSize, contextLength)
  const { bytes, limitedBy } = limitMemory(!usesGpu, budgetBytes)
  if (neededBytes <= bytes) return
  throw createMemoryError(
    `The model, with a KV cache of ${contextLength} tokens,`,
    neededBytes,
    bytes,
    limitedBy,
  )
}
