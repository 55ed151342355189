import { describe, expect, it } from 'vitest'
import { chooseCheckpoints, cutToCheckpoint, splitAtCheckpoints } from './checkpoints.js'

describe('the states are kept', () => {
  it.each([
    ['eight tokens before the end of a prompt', 0, 100, [92]],
    ['also where an answer ended that the prompt continues', 40, 100, [40, 92]],
    ['not for fewer than 32 tokens', 0, 39, []],
    ['not twice within 32 tokens', 40, 60, [40]],
  ])('%s', (_, recalled, length, expected) => {
    expect(chooseCheckpoints(recalled, length)).toEqual(expected)
  })
})

it('a run ends at each checkpoint between its first and its last token', () => {
  expect(splitAtCheckpoints([40, 92], 40, 100)).toEqual([92, 100])
  expect(splitAtCheckpoints([40, 92], 0, 92)).toEqual([40, 92])
  expect(splitAtCheckpoints([], 0, 10)).toEqual([10])
})

it('cuts a prompt at the checkpoint that was chosen when it was computed', () => {
  const ids = Array.from({ length: 100 }, (_, index) => index)
  expect([cutToCheckpoint(ids).length]).toEqual(chooseCheckpoints(0, ids.length - 1))
  expect(cutToCheckpoint([1, 2])).toEqual([])
})
