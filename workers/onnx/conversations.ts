/** KV caches of earlier conversations, within a budget of bytes: the one not used for longest goes first. */
export interface Conversations<Cache> {
  /** Keeps a conversation. What is beyond the budget then is freed, itself too when it alone is too large. */
  park(conversation: Conversation<Cache>): void
  /**
   * Takes out the conversation that begins like `ids` for longest.
   * @returns undefined when none shares more than `moreThan` tokens
   */
  take(ids: readonly number[], moreThan: number): Conversation<Cache> | undefined
  /** Frees all. */
  clear(): void
}

export interface Conversation<Cache> {
  readonly ids: readonly number[]
  readonly cache: Cache
  readonly sizeBytes: number
}

/** A conversation that loses fewer tokens than this is not worth its copy. */
export const worthParkingTokens = 32

export function createConversations<Cache>(
  budgetBytes: number,
  free: (cache: Cache) => void,
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
        const common = countCommon(conversation.ids, ids)
        if (common > longest) [best, longest] = [conversation, common]
      }
      parked = parked.filter((conversation) => conversation !== best)
      return best
    },
    clear() {
      for (const { cache } of parked.splice(0)) free(cache)
    },
  }
}

/** The length of the longest common beginning. */
export function countCommon(one: readonly number[], other: readonly number[]): number {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index += 1) if (one[index] !== other[index]) return index
  return length
}
