import { expect, test } from 'vitest'
import { createRun } from '../figures/run.test-support.js'
import { judgeRace } from './judge-race.js'

test('the winner is named by first token and by speed, with the ratio', () => {
  const [slow, fast] = [createRun('Hello', { gapMs: 25 }), createRun('Hello', { gapMs: 10 })]
  expect(judgeRace(slow, fast)).toEqual([
    'Right had its first token 2.50 times sooner.',
    'Right wrote 2.50 times faster.',
  ])
  expect(judgeRace(fast, slow)[0]).toBe('Left had its first token 2.50 times sooner.')
  expect(judgeRace(fast, fast)[1]).toBe('By speed they are even.')
})

test('nothing is said of a run without a token', () => {
  const run = createRun('Hello')
  const figures = { ...run.figures, timeToFirstTokenMs: undefined, tokensPerSecond: undefined }
  expect(judgeRace(run, { ...run, figures })).toEqual([])
})
