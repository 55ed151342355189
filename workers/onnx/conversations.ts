/** Keeps the KV caches of earlier conversations within a byte budget. The least recently used caches are freed first. */
export interface Conversations<Cache> {
  /**
   * Keeps a conversation. If the budget is exceeded, frees the least recently used conversations, and also this one if it
   * exceeds the budget by itself.
   */
  park(conversation: Conversation<Cache>): void
  /**
   * Removes and returns the conversation that can reuse the longest prefix of `ids`.
   * @returns undefined if no conversation can reuse more than `moreThan` tokens
   */
  take(ids: readonly number[], moreThan: number): Conversation<Cache> | undefined
  /** Returns how many of the first tokens of `ids` the best conversation can reuse. Removes nothing. */
  countReusable(ids: readonly number[]): number
  /** Frees all conversations. */
  clear(): void
}

export interface Conversation<Cache> {
  readonly ids: readonly number[]
  readonly cache: Cache
  readonly sizeBytes: number
}

/** The smallest number of tokens that are worth parking. Computing fewer tokens again costs less than copying the cache. */
export const worthParkingTokens = 32

/**
 * Creates an empty `Conversations`.
 * @param countReusable returns how many of the first tokens of `ids` a conversation can reuse
 */
export function createConversations<Cache>(
  budgetBytes: number,
  free: (cache: Cache) => void,
  countReusable: (
    conversation: Pick<Conversation<Cache>, 'ids' | 'cache'>,
    ids: readonly number[],
  ) => number = (conversation, ids) => countCommonPrefix(conversation.ids, ids),
): Conversations<Cache> {
  /** The kept conversations, from the least to the most recently used. */
  let parked: Conversation<Cache>[] = []
  return {
    park(conversation) {
      parked.push(conversation)
      let total = parked.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      while (total > budgetBytes) {
        const oldest = parked.shift()!
        total -= oldest.sizeBytes
        free(oldest.cache)
      }
    },
    take(ids, moreThan) {
      let best: Conversation<Cache> | undefined
      let longest = moreThan
      for (const conversation of parked) {
        const reusable = countReusable(conversation, ids)
        if (reusable > longest) [best, longest] = [conversation, reusable]
      }
      parked = parked.filter((conversation) => conversation !== best)
      return best
    },
    countReusable: (ids) => Math.max(0, ...parked.map((conversation) => countReusable(conversation, ids))),
    clear() {
      for (const { cache } of parked.splice(0)) free(cache)
    },
  }
}

/** Returns the length of the longest common prefix of two token lists. */
export function countCommonPrefix(one: readonly number[], other: readonly number[]): number {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index += 1) if (one[index] !== other[index]) return index
  return length
}
