import { describe, expect, it } from 'vitest'
import { chooseProbes, measureDifference } from './step-check.js'

const thresholds = { windows: [], rotarySwitch: Infinity, firstCapacity: 1024, contextLength: 8192 }
const describeProbes = (changes: Partial<Parameters<typeof chooseProbes>[0]>) =>
  chooseProbes({ ...thresholds, ...changes }).map(({ cachedTokens, tokenIds, loudTokens }) => ({
    length: cachedTokens + tokenIds.length,
    tokens: tokenIds.length,
    loudTokens,
  }))

describe('the checked steps', () => {
  it('are at the end of the first KV cache, after it has grown, and a short run', () => {
    expect(describeProbes({})).toEqual([
      { length: 1024, tokens: 1, loudTokens: 0 },
      { length: 1152, tokens: 1, loudTokens: 0 },
      { length: 40, tokens: 20, loudTokens: 0 },
    ])
  })

  it('are past each attention window, with the tokens before it loud', () => {
    expect(describeProbes({ windows: [512, 4096] })).toEqual([
      { length: 576, tokens: 1, loudTokens: 64 },
      { length: 4608, tokens: 1, loudTokens: 512 },
      { length: 1024, tokens: 1, loudTokens: 512 },
      { length: 4608, tokens: 20, loudTokens: 512 },
    ])
  })

  it('are on both sides of the rotary switch', () => {
    expect(describeProbes({ rotarySwitch: 4096 })).toEqual([
      { length: 4096, tokens: 1, loudTokens: 0 },
      { length: 4097, tokens: 1, loudTokens: 0 },
      { length: 1024, tokens: 1, loudTokens: 0 },
      { length: 4097, tokens: 20, loudTokens: 0 },
    ])
  })

  it('never exceed the context length', () => {
    expect(describeProbes({ windows: [500, 512], rotarySwitch: 512, contextLength: 512 })).toEqual([
      { length: 512, tokens: 1, loudTokens: 12 },
      { length: 512, tokens: 20, loudTokens: 12 },
    ])
    expect(describeProbes({ contextLength: 2 })).toEqual([
      { length: 2, tokens: 1, loudTokens: 0 },
      { length: 2, tokens: 1, loudTokens: 0 },
    ])
  })
})

describe('the difference between two steps', () => {
  const step = (values: Record<string, readonly number[]>) =>
    new Map(Object.entries(values).map(([name, list]) => [name, Float32Array.from(list)]))
  const expected = step({ 'present.0.key': [1, -1, 1, -1], logits: [11, 9] })

  it('is that of the output that differs most, relative to its own spread', () => {
    expect(measureDifference(expected, expected)).toBe(0)
    const actual = step({ 'present.0.key': [1.1, -0.9, 1.1, -0.9], logits: [11.5, 9.5] })
    expect(measureDifference(actual, expected)).toBeCloseTo(0.5)
  })

  it('ignores outputs that the exported graph, cut to its first layers, does not have', () => {
    const actual = step({ 'present.0.key': [1, -1, 1, -1], 'present.9.key': [5, 5], logits: [11, 9] })
    expect(measureDifference(actual, expected)).toBe(0)
  })

  it.each([
    ['a value is not a number', { 'present.0.key': [1, -1, 1, NaN], logits: [11, 9] }],
    ['an output is missing', { logits: [11, 9] }],
  ])('is not a number if %s', (_, values) => {
    expect(measureDifference(step(values), expected)).toBeNaN()
  })

  it('is infinite if equal values are expected and other ones computed', () => {
    expect(measureDifference(step({ logits: [1, 2] }), step({ logits: [1, 1] }))).toBe(Infinity)
  })
})
