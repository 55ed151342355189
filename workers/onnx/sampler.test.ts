import { describe, expect, it } from 'vitest'
import type { Sampling } from './model-config.js'
import { drawUniform, sampleToken } from './sampler.js'

const all: Sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }
const greedy: Sampling = { ...all, temperature: 0 }
const none: ReadonlySet<number> = new Set()

function sample(logits: readonly number[], options: Partial<Sampling>, draw = 0, seen = none): number {
  return sampleToken(Float32Array.from(logits), { ...all, ...options }, seen, draw)
}

/** The probability of every token, computed the plain way, from the definitions of the papers. */
function computeProbabilities(logits: readonly number[], options: Partial<Sampling>, seen = none): number[] {
  const { temperature, topK, topP, minP, repetitionPenalty } = { ...all, ...options }
  const penalized = logits.map((logit, id) => {
    if (!seen.has(id)) return logit
    return logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty
  })
  const softmax = (values: readonly number[]) => {
    const weights = values.map((value) => Math.exp(value / temperature))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.map((weight) => weight / total)
  }
  const order = penalized.map((_, id) => id).toSorted((a, b) => penalized[b]! - penalized[a]! || a - b)
  const kept = new Set(topK === 0 ? order : order.slice(0, topK))
  const keep = () => softmax(penalized.map((logit, id) => (kept.has(id) ? logit : -Infinity)))
  let probabilities = keep()
  let reached = 0
  for (const id of order) {
    if (topP < 1 && reached >= topP) kept.delete(id)
    reached += probabilities[id]!
  }
  probabilities = keep()
  const least = minP * Math.max(...probabilities)
  for (const id of order) if (probabilities[id]! < least) kept.delete(id)
  return keep()
}

/** How often each token is drawn in `count` evenly spaced draws: the distribution itself, without chance. */
function scanDistribution(logits: readonly number[], options: Partial<Sampling>, seen = none): number[] {
  const count = 20_000
  const shares = logits.map(() => 0)
  for (let i = 0; i < count; i += 1) shares[sample(logits, options, (i + 0.5) / count, seen)]! += 1 / count
  return shares
}

function expectDistribution(logits: readonly number[], options: Partial<Sampling>, seen = none): void {
  const shares = scanDistribution(logits, options, seen)
  for (const [id, expected] of computeProbabilities(logits, options, seen).entries()) {
    expect(Math.abs(shares[id]! - expected), `token ${id}`).toBeLessThan(0.0002)
    // Not nearly never: never.
    if (expected === 0) expect(shares[id]).toBe(0)
  }
}

/** Pearson's statistic: how far counts are from what was expected. */
function computeChiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0)
}

const logits = [1.5, -0.5, 3, 0, 2.25, -4, 2.2, 0.7]

describe('greedy', () => {
  it('takes the largest', () => {
    expect(sample(logits, greedy)).toBe(2)
    expect(sample([-3, -1, -2], greedy)).toBe(1)
    expect(sample([-Infinity, -5, -Infinity], greedy)).toBe(1)
  })

  it('takes the first of several largest', () => {
    expect(sample([0, 7, 7, 7], greedy)).toBe(1)
    expect(sample([2, 2], greedy)).toBe(0)
  })

  it('does not look at the draw or at what truncates', () => {
    for (const draw of [0, 0.5, 0.999_999]) {
      expect(sample(logits, { ...greedy, topK: 3, topP: 0.5, minP: 0.5 }, draw)).toBe(2)
    }
  })

  it('minds the repetition penalty', () => {
    expect(sample([3, 2.9], { ...greedy, repetitionPenalty: 1.1 }, 0, new Set([0]))).toBe(1)
    expect(sample([-1, -1.05], { ...greedy, repetitionPenalty: 1.1 }, 0, new Set([0]))).toBe(1)
  })
})

describe('the distribution', () => {
  it.each<[string, Partial<Sampling>]>([
    ['as the model has it', {}],
    ['flattened by a high temperature', { temperature: 2 }],
    ['sharpened by a low temperature', { temperature: 0.3 }],
    ['of the top 3', { topK: 3 }],
    ['of the top 1', { topK: 1 }],
    ['of more tokens than there are', { topK: 100 }],
    ['of a nucleus of 0.5', { topP: 0.5 }],
    ['of a nucleus of 0.9', { topP: 0.9 }],
    ['of a nucleus that one token fills', { topP: 0.000_01 }],
    ['above 0.2 of the likeliest', { minP: 0.2 }],
    ['of nothing but the likeliest', { minP: 1 }],
    ['with temperature before top-p and min-p', { temperature: 0.5, topP: 0.8, minP: 0.3 }],
    ['with top-p of what top-k leaves', { topK: 3, topP: 0.7 }],
    ['with everything', { temperature: 1.3, topK: 6, topP: 0.95, minP: 0.1, repetitionPenalty: 1.2 }],
  ])('is right %s', (_, options) => {
    expectDistribution(logits, options, new Set([2, 3, 5]))
  })

  it('punishes what was seen, whether its logit is positive, zero or negative', () => {
    const seen = new Set([0, 1, 3])
    expectDistribution(logits, { repetitionPenalty: 1.8 }, seen)
    expectDistribution(logits, { repetitionPenalty: 0.6 }, seen)
    expect(scanDistribution(logits, { repetitionPenalty: 1.8 }, seen)[0]).toBeLessThan(
      scanDistribution(logits, {}, seen)[0]!,
    )
  })

  it('is right for logits that are all negative', () => {
    expectDistribution([-10, -9, -11.5, -9.25], { topK: 3 })
  })

  it('shares evenly among equal logits, and truncates them by id', () => {
    expectDistribution([1, 1, 1, 1], {})
    expectDistribution([-1, 2, -1, 2, 2], { topK: 2 })
    expect(scanDistribution([-1, 2, -1, 2, 2], { topK: 2 })).toEqual([
      0,
      expect.closeTo(0.5, 3),
      0,
      expect.closeTo(0.5, 3),
      0,
    ])
  })

  it('never has a token that is masked with -Infinity', () => {
    const masked = [-Infinity, 1, -Infinity, 0, -Infinity]
    for (const options of [{}, { topK: 4 }, { topP: 0.999_999 }, { temperature: 100 }]) {
      expectDistribution(masked, options)
      for (const draw of [0, 1 - 2 ** -32]) expect([1, 3]).toContain(sample(masked, options, draw))
    }
    expectDistribution(masked, { repetitionPenalty: 1.5 }, new Set([0, 1]))
  })

  it('puts the likeliest token first, and reaches the last one', () => {
    expect(sample(logits, {}, 0)).toBe(2)
    expect(sample(logits, {}, 1 - 2 ** -32)).toBe(5)
  })

  it('is right for a vocabulary of 50,000, and logits far apart', () => {
    const large = Array.from({ length: 50_000 }, (_, id) => (drawUniform(3, id) - 0.5) * 40)
    const order = large.map((_, id) => id).toSorted((a, b) => large[b]! - large[a]!)
    expect(sample(large, {}, 0)).toBe(order[0])
    expect(sample(large, { topK: 20, temperature: 100 }, 1 - 2 ** -32)).toBe(order[19])
    expect(sample([88, -88, 1e30, -1e30], { temperature: 0.01 }, 0.999)).toBe(2)
  })

  it('is what many draws come to', () => {
    const options = { temperature: 0.8, topK: 6 }
    const count = 50_000
    const counts = logits.map(() => 0)
    for (let position = 0; position < count; position += 1) {
      counts[sample(logits, options, drawUniform(42, position))]! += 1
    }
    const expected = computeProbabilities(logits, options).map((probability) => probability * count)
    const kept = logits.map((_, id) => id).filter((id) => expected[id]! > 0)
    expect(counts.filter((_, id) => expected[id] === 0)).toEqual([0, 0])
    // Six tokens, five degrees of freedom: in one of a thousand right samplers it is above this.
    const limit = 20.515
    expect(
      computeChiSquare(
        kept.map((id) => counts[id]!),
        kept.map((id) => expected[id]!),
      ),
    ).toBeLessThan(limit)
  })
})

describe('a draw', () => {
  it('is the same for the same seed and place', () => {
    for (const [seed, position] of [
      [0, 0],
      [1, 5],
      [2 ** 32 - 1, 100_000],
    ] as const) {
      expect(drawUniform(seed, position)).toBe(drawUniform(seed, position))
    }
    const distinct = new Set(Array.from({ length: 1000 }, (_, i) => drawUniform(i % 2, i >> 1)))
    expect(distinct.size).toBe(1000)
  })

  it('is from 0 up to 1', () => {
    for (const seed of [0, 1, 0x7fffffff, 0x80000000, 0x9e3779b9, 2 ** 32 - 1]) {
      for (let position = 0; position < 5000; position += 1) {
        const draw = drawUniform(seed, position)
        expect(draw >= 0 && draw < 1).toBe(true)
      }
    }
  })

  it.each<[string, (index: number) => number]>([
    ['over the places of one generation', (index) => drawUniform(7, index)],
    ['over the seeds, at the first place', (index) => drawUniform(index, 0)],
    ['over the seeds, at a later place', (index) => drawUniform(index, 99)],
  ])('is uniform %s', (_, draw) => {
    const count = 50_000
    const bins = Array.from({ length: 100 }, () => 0)
    for (let index = 0; index < count; index += 1) bins[Math.floor(draw(index) * 100)]! += 1
    const statistic = computeChiSquare(
      bins,
      bins.map(() => count / 100),
    )
    // 99 degrees of freedom: in one of a thousand uniform generators it is above 148.23, in one below 60.
    expect(statistic).toBeLessThan(148.23)
    expect(statistic).toBeGreaterThan(60)
  })

  it.each<[string, (index: number) => readonly [number, number]]>([
    ['its neighbour in the generation', (index) => [drawUniform(7, index), drawUniform(7, index + 1)]],
    ['the same place under the next seed', (index) => [drawUniform(7, index), drawUniform(8, index)]],
    ['the first place under the next seed', (index) => [drawUniform(index, 0), drawUniform(index + 1, 0)]],
    ['the next place under the next seed', (index) => [drawUniform(index, 0), drawUniform(index + 1, 1)]],
  ])('has nothing to do with %s', (_, drawPair) => {
    const side = 10
    const count = 50_000
    const cells = Array.from({ length: side * side }, () => 0)
    let products = 0
    for (let index = 0; index < count; index += 1) {
      const [a, b] = drawPair(index)
      cells[Math.floor(a * side) * side + Math.floor(b * side)]! += 1
      products += (a - 0.5) * (b - 0.5)
    }
    // 99 degrees of freedom, p = 0.001, as above.
    expect(
      computeChiSquare(
        cells,
        cells.map(() => count / (side * side)),
      ),
    ).toBeLessThan(148.23)
    // Correlation of independent pairs: normal, with a deviation of 1/√count; 3.29 of them are p = 0.001.
    expect(Math.abs((products / count) * 12)).toBeLessThan(3.29 / Math.sqrt(count))
  })
})
