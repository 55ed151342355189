/** A hash table from pairs of integers to integers, in typed arrays: a tenth of the memory of a `Map`, and faster. */
export interface PairTable {
  /** Sets the value of a pair; all three are at least 0. */
  set(left: number, right: number, value: number): void
  /** Returns the value of a pair, or -1. */
  get(left: number, right: number): number
}

/** Creates a table for up to `capacity` pairs. */
export function createPairTable(capacity: number): PairTable {
  const bits = Math.max(4, Math.ceil(Math.log2(capacity * 2 + 1)))
  const mask = 2 ** bits - 1
  const lefts = new Int32Array(2 ** bits).fill(-1)
  const rights = new Int32Array(2 ** bits)
  const values = new Int32Array(2 ** bits)

  /** Finds the slot of the pair, or the free slot where it belongs. */
  function find(left: number, right: number): number {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
    hash ^= hash >>> 15
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = lefts[slot]
      if (found === -1 || (found === left && rights[slot] === right)) return slot
    }
  }

  return {
    set(left, right, value) {
      const slot = find(left, right)
      lefts[slot] = left
      rights[slot] = right
      values[slot] = value
    },
    get(left, right) {
      const slot = find(left, right)
      return lefts[slot] === -1 ? -1 : values[slot]!
    },
  }
}
