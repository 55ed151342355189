import { computeWeight, measureExponent, unreachable, type SamplingNumbers } from './sampler-arithmetic.js'

/** Exponents (`measureExponent`) with the same upper 10 bits share a bucket: 32 buckets for each factor of 2. */
const bucketShift = 22
const bucketCount = 2 ** (32 - bucketShift)

/**
 * Returns the tokens that top-k, top-p and min-p keep, in no order; at least one.
 *
 * Sorting a vocabulary takes most of a sampling step, and only the tokens at the two limits need an order. So the tokens go
 * to buckets of similar likelihood, and only the buckets in which top-k and top-p end are sorted.
 */
export function truncateTokens(keys: Uint32Array, largest: number, numbers: SamplingNumbers): Uint32Array {
  const exponents = new Uint32Array(keys.length)
  /** Where each bucket starts in `order`. */
  const starts = new Uint32Array(bucketCount + 1)
  for (let id = 0; id < keys.length; id += 1) {
    const exponent = measureExponent(keys[id]!, largest, numbers)
    exponents[id] = exponent
    if (exponent !== unreachable) starts[(exponent >>> bucketShift) + 1]! += 1
  }
  for (let bucket = 0; bucket < bucketCount; bucket += 1) starts[bucket + 1]! += starts[bucket]!
  const order = new Uint32Array(starts[bucketCount]!)
  const next = starts.slice()
  for (let id = 0; id < keys.length; id += 1) {
    const exponent = exponents[id]!
    if (exponent !== unreachable) order[next[exponent >>> bucketShift]!++] = id
  }
  /** Sorts a bucket: larger keys first, ties by id. */
  const sortBucket = (bucket: number) => {
    const ids = order.subarray(starts[bucket], starts[bucket + 1])
    ids.set(ids.toSorted((a, b) => keys[b]! - keys[a]! || a - b))
  }

  let count = order.length
  if (numbers.topK > 0 && numbers.topK < count) {
    count = numbers.topK
    sortBucket(starts.findIndex((start) => start >= count) - 1)
  }
  if (numbers.topP > 0) count = countNucleus()
  const kept = order.subarray(0, count)
  return numbers.largestExponent === unreachable
    ? kept
    : kept.filter((id) => exponents[id]! <= numbers.largestExponent)

  /** Returns how many of the first `count` tokens are needed to reach top-p. */
  function countNucleus(): number {
    // The sum of up to 2^21 weights of up to 2^31 is exact in a double. The product of the sum and top-p would not be exact.
    const total = sumWeights(0, count)
    const enough = Number((BigInt(total) * BigInt(numbers.topP)) >> 32n)
    let reached = 0
    for (let bucket = 0; ; bucket += 1) {
      const end = Math.min(starts[bucket + 1]!, count)
      const weight = sumWeights(starts[bucket]!, end)
      if (reached + weight < enough) {
        reached += weight
        continue
      }
      sortBucket(bucket)
      for (let rank = starts[bucket]!; rank < end; rank += 1) {
        reached += computeWeight(exponents[order[rank]!]!)
        if (reached >= enough) return rank + 1
      }
    }
  }

  function sumWeights(start: number, end: number): number {
    let sum = 0
    for (let rank = start; rank < end; rank += 1) sum += computeWeight(exponents[order[rank]!]!)
    return sum
  }
}
