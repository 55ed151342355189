import { expect, test } from 'vitest'
import { formatSize } from './format-size.js'

test.each([
  [0, '0 bytes'],
  [539, '539 bytes'],
  [48_625, '48.6 KB'],
  [2_999_104, '3.00 MB'],
  [105_454_432, '105 MB'],
  [999_700_000, '1.00 GB'],
  [1_117_320_736, '1.12 GB'],
])('formats %s bytes as %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})
