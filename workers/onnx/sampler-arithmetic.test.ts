import { expect, it } from 'vitest'
import {
  computeNoise,
  computeWeight,
  drawBits,
  maskedKey,
  brokenKey,
  toBits,
  toKey,
  toLogit,
} from './sampler-arithmetic.js'

it('the noise is the Gumbel quantile of its random bits', () => {
  const randoms = Array.from({ length: 200_000 }, (_, id) => drawBits(5, id))
  const ends = Array.from({ length: 5000 }, (_, index) => [index, 2 ** 32 - 1 - index]).flat()
  const errors = [...randoms, ...ends].map((random) => {
    const t = ((random | 1) >>> 0) / 2 ** 32
    const quantile = -Math.log(-Math.log1p(-t))
    return Math.abs((computeNoise(random) * Math.LN2) / 2 ** 16 - quantile)
  })
  expect(errors.reduce((a, b) => Math.max(a, b))).toBeLessThan(0.000_2)
})

it('a weight is the power of two for its exponent', () => {
  for (let exponent = 0; exponent < 31 * 2 ** 27; exponent += 100_003) {
    const expected = 2 ** (31 - exponent / 2 ** 27)
    expect(Math.abs(computeWeight(exponent) - expected)).toBeLessThanOrEqual(1 + expected * 0.000_06)
  }
})

it('keys have the order of their logits, and convert back to them', () => {
  const logits = [-(2 ** 100), -5.5, -5.25, -1e-30, 0, 1e-30, 2, 2.000_000_2, 2 ** 100].map(Math.fround)
  const keys = logits.map((logit) => toKey(toBits(logit)))
  expect(keys.toSorted((a, b) => a - b)).toEqual(keys)
  expect(keys.map(toLogit)).toEqual(logits)
})

it('keys ignore what devices compute differently', () => {
  const toKeyOf = (logit: number) => toKey(toBits(logit))
  expect(toKeyOf(-0)).toBe(toKeyOf(0))
  expect(toKeyOf(2 ** -127)).toBe(toKeyOf(0))
  expect(toKeyOf(3e38)).toBe(toKeyOf(2 ** 100))
  expect(toKeyOf(-Infinity)).toBe(maskedKey)
  expect([NaN, Infinity].map(toKeyOf)).toEqual([brokenKey, brokenKey])
  // All are NaN: the sign bit does not matter.
  expect([0x7fc00000, 0xffc00000, 0xff800001].map(toKey)).toEqual([brokenKey, brokenKey, brokenKey])
})
