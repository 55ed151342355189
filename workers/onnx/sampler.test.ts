import { describe, expect, it } from 'vitest'
import { noToken } from './sampler-arithmetic.js'
import { drawUniform } from './draw-uniform.test-support.js'
import { createTokenHistory, greedy, sampleToken, type Sampling } from './sampler.js'

const all: Sampling = { ...greedy, temperature: 1 }

/** The options of a test; the others truncate and penalize nothing. */
type Options = Partial<Sampling>

/** The tokens so far: those of the prompt, and those of the answer with repetitions. */
interface History {
  readonly prompt?: readonly number[]
  readonly answer?: readonly number[]
}

function createHistory({ prompt = [], answer = [] }: History) {
  const history = createTokenHistory(prompt)
  for (const id of answer) history.add(id)
  return history
}

function sample(logits: readonly number[], options: Options, position = 0, earlier: History = {}): number {
  return sampleToken(Float32Array.from(logits), { ...all, ...options }, createHistory(earlier), 42, position)
}

/** Computes the probability of each token in a simple way, from the definitions in the papers. */
function computeProbabilities(logits: readonly number[], options: Options, earlier: History = {}): number[] {
  const { temperature, topK, topP, minP, repetitionPenalty } = { ...all, ...options }
  const { frequencyPenalty = 0, presencePenalty = 0, logitBias = {} } = options
  const { prompt = [], answer = [] } = earlier
  const adjusted = logits.map((logit, id) => {
    const count = answer.filter((other) => other === id).length
    const isRepeated = count > 0 || prompt.includes(id)
    const penalty = isRepeated ? repetitionPenalty : 1
    const repeated = logit > 0 ? logit / penalty : logit * penalty
    return repeated - count * frequencyPenalty - (count > 0 ? presencePenalty : 0) + (logitBias[id] ?? 0)
  })
  const softmax = (values: readonly number[]) => {
    const weights = values.map((value) => Math.exp(value / temperature))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.map((weight) => weight / total)
  }
  const order = adjusted.map((_, id) => id).toSorted((a, b) => adjusted[b]! - adjusted[a]! || a - b)
  const kept = new Set(topK === 0 ? order : order.slice(0, topK))
  const keep = () => softmax(adjusted.map((logit, id) => (kept.has(id) ? logit : -Infinity)))
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

/** Pearson's chi-square statistic: how far the counts are from the expected ones. */
function computeChiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0)
}

/** The limit that a correct sampler exceeds once in a thousand times (p = 0.001), for 0 to 7 degrees of freedom. */
const chiSquareLimits = [0, 10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322]

/** Draws many tokens with a fixed seed and compares how often each token occurs with its probability. */
function expectDistribution(logits: readonly number[], options: Options, earlier: History = {}): void {
  const draws = 8000
  const counts = logits.map(() => 0)
  for (let position = 0; position < draws; position += 1) {
    counts[sample(logits, options, position, earlier)]! += 1
  }
  const expected = computeProbabilities(logits, options, earlier).map((probability) => probability * draws)
  // Pearson's statistic needs at least five expected draws per token. Rarer tokens must stay rare, excluded ones must
  // not occur.
  const common = logits.map((_, id) => id).filter((id) => expected[id]! >= 5)
  const statistic = computeChiSquare(
    common.map((id) => counts[id]!),
    common.map((id) => expected[id]!),
  )
  expect(statistic, `${counts.join()} for ${expected.join()}`).toBeLessThanOrEqual(
    chiSquareLimits[common.length - 1]!,
  )
  for (const [id, count] of counts.entries()) {
    if (expected[id] === 0) expect(count, `token ${id}`).toBe(0)
    else if (expected[id]! < 5) expect(count, `token ${id}`).toBeLessThan(20)
  }
}

const logits = [1.5, -0.5, 3, 0, 2.25, -4, 2.2, 0.7]

describe('greedy', () => {
  it('chooses the largest logit', () => {
    expect(sample(logits, greedy)).toBe(2)
    expect(sample([-3, -1, -2], greedy)).toBe(1)
    expect(sample([-Infinity, -5, -Infinity], greedy)).toBe(1)
  })

  it('chooses the first of several equal logits', () => {
    expect(sample([0, 7, 7, 7], greedy)).toBe(1)
    expect(sample([2, 2], greedy)).toBe(0)
    expect(sample([-1, 0, -0], greedy)).toBe(1)
  })

  it('ignores the position, top-k, top-p and min-p', () => {
    for (let position = 0; position < 100; position += 1) {
      expect(sample(logits, { ...greedy, topK: 3, topP: 0.5, minP: 0.5 }, position)).toBe(2)
    }
  })

  it('applies penalties and bias', () => {
    const repeated: History = { prompt: [0] }
    expect(sample([3, 2.9], { ...greedy, repetitionPenalty: 1.1 }, 0, repeated)).toBe(1)
    expect(sample([-1, -1.05], { ...greedy, repetitionPenalty: 1.1 }, 0, repeated)).toBe(1)
    expect(sample([3, 2.9], { ...greedy, presencePenalty: 0.2 }, 0, { answer: [0] })).toBe(1)
    expect(sample([3, 2.9], { ...greedy, logitBias: { 1: 0.2 } })).toBe(1)
  })
})

describe('the distribution', () => {
  it.each<[string, Options]>([
    ['without options', {}],
    ['flattened by a high temperature', { temperature: 2 }],
    ['sharpened by a low temperature', { temperature: 0.3 }],
    ['of the top 3', { topK: 3 }],
    ['of the top 1', { topK: 1 }],
    ['of more tokens than there are', { topK: 100 }],
    ['of a nucleus of 0.5', { topP: 0.5 }],
    ['of a nucleus of 0.9', { topP: 0.9 }],
    ['of a nucleus that one token fills', { topP: 0.000_01 }],
    ['above 0.2 of the likeliest', { minP: 0.2 }],
    ['of only the likeliest token', { minP: 1 }],
    ['with temperature before top-p and min-p', { temperature: 0.5, topP: 0.8, minP: 0.3 }],
    ['with top-p applied after top-k', { topK: 3, topP: 0.7 }],
    ['with a bias', { logitBias: { 5: 6, 2: -3 } }],
    ['with all options', { temperature: 1.3, topK: 6, topP: 0.95, minP: 0.1, logitBias: { 3: 1 } }],
  ])('is correct %s', (_, options) => {
    expectDistribution(logits, options)
  })

  it.each<[string, Options]>([
    ['repetition, whether a logit is positive, zero or negative', { repetitionPenalty: 1.8 }],
    ['repetition, as a reward', { repetitionPenalty: 0.6 }],
    ['presence in the answer', { presencePenalty: 1.5 }],
    ['frequency in the answer', { frequencyPenalty: 0.5 }],
    [
      'everything, with a bias',
      { repetitionPenalty: 1.2, presencePenalty: 0.5, frequencyPenalty: -0.3, logitBias: { 0: 1 } },
    ],
  ])('is correct with a penalty on %s', (_, options) => {
    expectDistribution(logits, options, { prompt: [0, 1, 3], answer: [2, 6, 2, 2] })
  })

  it('is correct if all logits are negative', () => {
    expectDistribution([-10, -9, -11.5, -9.25], { topK: 3 })
  })

  it('is uniform over equal logits, which are truncated by id', () => {
    expectDistribution([1, 1, 1, 1], {})
    expectDistribution([-1, 2, -1, 2, 2], { topK: 2 })
  })

  it('never contains a token masked with -Infinity', () => {
    const masked = [-Infinity, 1, -Infinity, 0, -Infinity]
    for (const options of [{}, { topK: 4 }, { topP: 0.999_999 }, { temperature: 100 }]) {
      expectDistribution(masked, options)
    }
    expectDistribution(masked, { repetitionPenalty: 1.5, logitBias: { 4: 100 } }, { prompt: [0, 1] })
  })

  it('is correct for a vocabulary of 20,000', () => {
    const large = Array.from({ length: 20_000 }, (_, id) => (drawUniform(3, id) - 0.5) * 40)
    const order = large.map((_, id) => id).toSorted((a, b) => large[b]! - large[a]!)
    expect(sample(large, { topK: 1 })).toBe(order[0])
    const drawn = Array.from({ length: 60 }, (_, position) =>
      sample(large, { topK: 3, temperature: 100 }, position),
    )
    expect(new Set(drawn)).toEqual(new Set(order.slice(0, 3)))
  })

  it('is correct for logits far apart', () => {
    for (let position = 0; position < 100; position += 1) {
      expect(sample([88, -88, 1e30, -1e30], { temperature: 0.01 }, position)).toBe(2)
    }
  })
})

describe('a sampled token', () => {
  it('is the same for the same seed and position, and sampling does not modify the logits', () => {
    const values = Float32Array.from(logits)
    const history = createHistory({ prompt: [2], answer: [4] })
    const options = { ...all, repetitionPenalty: 1.3, topP: 0.9 }
    const draw = () =>
      Array.from({ length: 50 }, (_, position) => sampleToken(values, options, history, 7, position))
    const drawn = draw()
    expect(draw()).toEqual(drawn)
    expect(new Set(drawn).size).toBeGreaterThan(2)
    expect([...values]).toEqual([...Float32Array.from(logits)])
    expect([...history.counts]).toEqual([[4, 1]])
  })

  it('is noToken if the logits are invalid', () => {
    for (const options of [greedy, all, { ...all, topK: 1 }, { ...all, topP: 0.5 }]) {
      expect(sample([0, NaN, 1], options)).toBe(noToken)
      expect(sample([0, Infinity], options)).toBe(noToken)
      expect(sample([-Infinity, -Infinity], options)).toBe(noToken)
    }
  })

  it('is refused if a bias names a token outside the vocabulary', () => {
    expect(() => sample(logits, { logitBias: { 8: 1 } })).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('token 8') }),
    )
  })
})

describe('a random number', () => {
  it('is the same for the same seed and position', () => {
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
        if (!(draw >= 0 && draw < 1)) expect.fail(`seed ${seed}, position ${position}: ${draw}`)
      }
    }
  })

  it.each<[string, (index: number) => number]>([
    ['over the positions of one generation', (index) => drawUniform(7, index)],
    ['over the seeds, at the first position', (index) => drawUniform(index, 0)],
    ['over the seeds, at a later position', (index) => drawUniform(index, 99)],
    ['over the tokens of one position', (index) => drawUniform(7, 0, index)],
  ])('is uniform %s', (_, draw) => {
    const count = 50_000
    const bins = Array.from({ length: 100 }, () => 0)
    for (let index = 0; index < count; index += 1) bins[Math.floor(draw(index) * 100)]! += 1
    const statistic = computeChiSquare(
      bins,
      bins.map(() => count / 100),
    )
    // 99 degrees of freedom: one of a thousand uniform generators is above 148.23, and one is below 60.
    expect(statistic).toBeLessThan(148.23)
    expect(statistic).toBeGreaterThan(60)
  })

  it.each<[string, (index: number) => readonly [number, number]]>([
    [
      'that of the next token at the same position',
      (index) => [drawUniform(7, 5, index), drawUniform(7, 5, index + 1)],
    ],
    [
      'that of the same token at the next position',
      (index) => [drawUniform(7, 5, index), drawUniform(7, 6, index)],
    ],
    ['the next one in the generation', (index) => [drawUniform(7, index), drawUniform(7, index + 1)]],
    ['the same position with the next seed', (index) => [drawUniform(7, index), drawUniform(8, index)]],
    ['the first position with the next seed', (index) => [drawUniform(index, 0), drawUniform(index + 1, 0)]],
    ['the next position with the next seed', (index) => [drawUniform(index, 0), drawUniform(index + 1, 1)]],
  ])('is independent of %s', (_, drawPair) => {
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
    // The correlation of independent pairs is normal with a standard deviation of 1/√count; 3.29 of these are p =
    // 0.001.
    expect(Math.abs((products / count) * 12)).toBeLessThan(3.29 / Math.sqrt(count))
  })
})

describe('with a mask', () => {
  const row = Float32Array.of(9, 1, 2, 3, 8)
  const draw = (mask: Int32Array, options: Options = {}, from = row) =>
    sampleToken(from, { ...all, ...options }, createTokenHistory([]), 42, 0, mask)

  it.each<Options>([{ temperature: 0 }, {}, { topK: 1 }, { topP: 0.01 }, { minP: 1 }])(
    'the options choose among the allowed tokens: %o',
    (options) => {
      expect(draw(Int32Array.of(0b01010), { temperature: 0.01, ...options })).toBe(3)
    },
  )

  it('a token without a word in the mask is not allowed', () => {
    const long = Float32Array.from({ length: 70 }, (_, id) => id)
    expect(draw(Int32Array.of(-1), { temperature: 0 }, long)).toBe(31)
    expect(draw(Int32Array.of(0, 1 << 31), { temperature: 0 }, long)).toBe(63)
  })

  it('no token is chosen if none is allowed, or if a logit is invalid', () => {
    expect(draw(Int32Array.of(0))).toBe(noToken)
    expect(draw(Int32Array.of(0b1), {}, Float32Array.of(1, NaN))).toBe(noToken)
  })
})
