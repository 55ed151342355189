/**
 * Estimates the memory that llama.cpp keeps for earlier conversations. llama.cpp does not report it, and accepts no limit
 * below 8 GiB.
 */
export interface ConversationMemory {
  /** Counts a computed prompt, of which `cachedTokens` were in the KV cache. */
  begin(promptTokens: number, cachedTokens: number): void
  /** Counts a generated token. */
  addToken(): void
  /** The estimate is above the limit. */
  readonly isFull: boolean
}

/** @param bytesPerToken the size of a token in the KV cache */
export function createConversationMemory(bytesPerToken: number, limitBytes: number): ConversationMemory {
  let keptBytes = 0
  let currentTokens = 0
  return {
    begin(promptTokens, cachedTokens) {
      // If a prompt shares less than half of the last one, llama.cpp saves the last one (`get_available_slot`).
      if (cachedTokens < currentTokens / 2) keptBytes += currentTokens * bytesPerToken
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
