import { expect, test } from 'vitest'
import { createRun } from '../figures/run.test-support.js'
import { judgeRace } from './judge-race.js'

test('names the winner by TTFT and by decode speed, with the ratio', () => {
  const [slow, fast] = [createRun('Hello', { gapMs: 25 }), createRun('Hello', { gapMs: 10 })]
  expect(judgeRace(slow, fast)).toEqual([
    'TTFT: right was 2.50 times faster.',
    'Decode speed: right was 2.50 times faster.',
  ])
  expect(judgeRace(fast, slow)[0]).toBe('TTFT: left was 2.50 times faster.')
  expect(judgeRace(fast, fast)[1]).toBe('Decode speed: no difference.')
})

test('omits figures that one of the runs lacks', () => {
  const run = createRun('Hello')
  const figures = { ...run.figures, timeToFirstTokenMs: undefined, tokensPerSecond: undefined }
  expect(judgeRace(run, { ...run, figures })).toEqual([])
})
