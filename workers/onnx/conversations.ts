/** The KV caches of earlier conversations, within a byte budget. The least recently used ones are freed first. */
export interface Conversations<Cache> {
  /**
   * Keeps a conversation and frees the oldest ones beyond the budget; also this one if it exceeds the budget by itself.
   */
  park(conversation: Conversation<Cache>): void
  /**
   * Removes and returns the conversation that has computed the longest prefix of `ids`.
   * @returns undefined if none has more than `moreThan` tokens of it
   */
  take(ids: readonly number[], moreThan: number): Conversation<Cache> | undefined
  /** Frees all conversations. */
  clear(): void
}

export interface Conversation<Cache> {
  readonly ids: readonly number[]
  readonly cache: Cache
  readonly sizeBytes: number
}

/** The smallest number of tokens worth a copy of the KV cache. Computing fewer tokens again costs less than the copy. */
export const worthParkingTokens = 32

/**
 * @param countReusable counts the first tokens of `ids` that a conversation can continue from
 */
export function createConversations<Cache>(
  budgetBytes: number,
  free: (cache: Cache) => void,
  countReusable: (
    conversation: Pick<Conversation<Cache>, 'ids' | 'cache'>,
    ids: readonly number[],
  ) => number = (conversation, ids) => countCommonPrefix(conversation.ids, ids),
): Conversations<Cache> {
  /** Least recently used first. */
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
    clear() {
      for (const { cache } of parked.splice(0)) free(cache)
    },
  }
}

/** The length of the longest common prefix. */
export function countCommonPrefix(one: readonly number[], other: readonly number[]): number {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index += 1) if (one[index] !== other[index]) return index
  return length
}
