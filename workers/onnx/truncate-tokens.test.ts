import { expect, it } from 'vitest'
import { drawUniform } from './draw-uniform.test-support.js'
import {
  computeNumbers,
  computeWeight,
  measureExponent,
  toBits,
  toKey,
  unreachable,
  type SamplingNumbers,
} from './sampler-arithmetic.js'
import { greedy } from './sampler.js'
import { truncateTokens } from './truncate-tokens.js'

/** Sorts the whole vocabulary, and applies top-k, top-p and min-p by their definitions. */
function truncateBySorting(keys: Uint32Array, numbers: SamplingNumbers): number[] {
  const largest = Math.max(...keys)
  const measure = (id: number) => measureExponent(keys[id]!, largest, numbers)
  const order = [...keys.keys()]
    .filter((id) => measure(id) !== unreachable)
    .toSorted((a, b) => keys[b]! - keys[a]! || a - b)
  const top = order.slice(0, numbers.topK || order.length)
  const weigh = (ids: readonly number[]) => ids.reduce((sum, id) => sum + computeWeight(measure(id)), 0)
  const enough = Number((BigInt(weigh(top)) * BigInt(numbers.topP)) >> 32n)
  const needed = top.findIndex((_, rank) => weigh(top.slice(0, rank + 1)) >= enough) + 1
  const nucleus = numbers.topP > 0 ? top.slice(0, needed) : top
  return nucleus.filter((id) => measure(id) <= numbers.largestExponent)
}

it.each([
  { topK: 1 },
  { topK: 40 },
  { topK: 299 },
  { topP: 0.0001 },
  { topP: 0.5 },
  { topP: 0.999 },
  { minP: 0.02 },
  { topK: 60, topP: 0.9 },
  { topK: 200, topP: 0.3, minP: 0.1, temperature: 2.5 },
  { topK: 100, topP: 0.95, minP: 0.001, temperature: 0.2 },
])('keeps the tokens that sorting the vocabulary keeps: %o', (options) => {
  const numbers = computeNumbers({ ...greedy, temperature: 1, ...options }, 300)
  for (let round = 0; round < 40; round += 1) {
    // In every other round the logits are rounded, so that many are equal. Some are masked.
    const spread = 2 ** (round % 6)
    const logits = Array.from({ length: 300 }, (_, id) => {
      if (drawUniform(1, round, id) < 0.1) return -Infinity
      const logit = (drawUniform(2, round, id) - 0.5) * spread
      return round % 2 === 0 ? logit : Math.round(logit * 4) / 4
    })
    const keys = Uint32Array.from(logits, (logit) => toKey(toBits(logit)))
    const kept = truncateTokens(keys, Math.max(...keys), numbers)
    expect([...kept].toSorted((a, b) => a - b)).toEqual(
      truncateBySorting(keys, numbers).toSorted((a, b) => a - b),
    )
  }
})
