/** What llama.cpp keeps of earlier conversations, by estimate: it neither tells nor takes a limit below 8 GiB. */
export interface ConversationMemory {
  /** A prompt was computed, but for what the KV cache held of it. */
  begin(promptTokens: number, cachedTokens: number): void
  addToken(): void
  /** It keeps more than it may. */
  readonly isFull: boolean
}

/** @param bytesPerToken in the KV cache */
export function createConversationMemory(bytesPerToken: number, limitBytes: number): ConversationMemory {
  let keptBytes = 0
  let currentTokens = 0
  return {
    begin(promptTokens, cachedTokens) {
      // A prompt that goes on from less than half of the last one puts that one aside (llama.cpp, `get_available_slot`).
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
