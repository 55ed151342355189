import { countCacheBytes, type CacheSize } from './cache-size.js'

/**
 * Estimates the memory that llama.cpp keeps for earlier conversations. llama.cpp does not report this memory, and accepts
 * no limit below 8 GiB for it.
 */
export interface ConversationMemory {
  /** Counts a computed prompt. `cachedTokens` of its tokens were already in the KV cache. */
  begin(promptTokens: number, cachedTokens: number): void
  /** Counts a generated token. */
  addToken(): void
  /** True if the estimate is above the limit. */
  readonly isFull: boolean
}

/** Creates an estimate that starts at 0 bytes. */
export function createConversationMemory(size: CacheSize, limitBytes: number): ConversationMemory {
  let keptBytes = 0
  let currentTokens = 0
  return {
    begin(promptTokens, cachedTokens) {
      // llama.cpp saves the last conversation if the new prompt shares less than half of it (`get_available_slot`).
      if (cachedTokens < currentTokens / 2) keptBytes += countCacheBytes(size, currentTokens)
      currentTokens = promptTokens
    },
    addToken() {
      currentTokens += 1
    },
    get isFull() {
      return keptBytes > limitBytes
    },
  }
}
