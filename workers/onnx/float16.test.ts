import { describe, expect, it } from 'vitest'
import { decodeFloat16 } from './float16.js'
import { encodeFloat16 } from './float16-model.test-support.js'

describe('a half-precision number', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333_251_953_125],
    [0x7bff, 65_504],
    [0xfbff, -65_504],
    [0x0400, 2 ** -14],
    [0x03ff, 1023 * 2 ** -24],
    [0x0001, 2 ** -24],
    [0x8001, -(2 ** -24)],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
    [0xfe01, NaN],
  ])('%i is %d', (bits, value) => {
    expect(decodeFloat16(bits)).toBe(value)
  })

  it('increases with its bits from zero to infinity, and the sign bit negates it', () => {
    const finite = Array.from({ length: 0x7c00 }, (_, bits) => bits)
    expect(finite.filter((bits) => !(decodeFloat16(bits) < decodeFloat16(bits + 1)))).toEqual([])
    expect(finite.filter((bits) => decodeFloat16(bits | 0x8000) !== -decodeFloat16(bits))).toEqual([])
  })

  it('is encoded as the nearest one', () => {
    const all = Array.from({ length: 0x7c01 }, (_, bits) => bits)
    expect(all.filter((bits) => encodeFloat16(decodeFloat16(bits)) !== bits)).toEqual([])
    expect([-1.0004, -1.0005, 2049, 2051, 65_519, 65_520, NaN].map(encodeFloat16)).toEqual([
      0xbc00, 0xbc01, 0x6800, 0x6802, 0x7bff, 0x7c00, 0x7e00,
    ])
  })
})
