import { expect, it } from 'vitest'
import { describeTime } from './describe-time.js'

const noon = new Date('2026-11-27T12:00:00Z')

it('the clock shows the time of a zone', () => {
  expect(describeTime('Asia/Tokyo', noon)).toMatch(/^Friday,? 27 November 2026.* 21:00:00 \(Asia\/Tokyo\)$/)
})

it('the clock shows the time of this device without a zone', () => {
  expect(describeTime(undefined, noon)).toContain('2026')
})

it('the clock refuses an unknown zone', () => {
  expect(() => describeTime('Atlantis', noon)).toThrow('no time zone "Atlantis"')
})
