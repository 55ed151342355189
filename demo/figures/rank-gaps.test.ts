import { expect, test } from 'vitest'
import { rankGaps } from './rank-gaps.js'

test('finds percentiles of gaps that were added in any order', () => {
  const ranks = rankGaps()
  expect(ranks.find(50)).toBeUndefined()
  // 37 and 101 have no common factor: each of 1 to 100 once, unsorted.
  for (let index = 1; index <= 100; index += 1) ranks.add((index * 37) % 101)
  expect([50, 95, 99, 100].map(ranks.find)).toEqual([50, 95, 99, 100])
})
