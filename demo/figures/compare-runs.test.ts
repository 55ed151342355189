import { expect, test } from 'vitest'
import { compareRuns } from './compare-runs.js'
import { createRun } from './run.test-support.js'

test('compares two runs by ratio and names the better one, if any', () => {
  const comparisons = compareRuns(createRun('one'), createRun('two', { gapMs: 20 }))
  const find = (name: string) => comparisons.find(({ figure }) => figure.name === name)
  expect(find('timeToFirstTokenMs')).toMatchObject({ first: 10, second: 20, ratio: 2, winner: 'first' })
  expect(find('tokensPerSecond')).toMatchObject({ first: 100, second: 50, ratio: 0.5, winner: 'first' })
  expect(find('tokens')).toMatchObject({ ratio: 1, winner: undefined })
  // A ratio to 0 is undefined.
  expect(find('recoveries')).toMatchObject({ first: 0, second: 0, ratio: undefined, winner: undefined })
})

test('does not compare a figure that one of the runs lacks', () => {
  const [first] = compareRuns(
    { ...createRun('one'), figures: { ...createRun('one').figures, timeToFirstTokenMs: undefined } },
    createRun('two'),
  )
  expect(first).toMatchObject({ first: undefined, second: 10, ratio: undefined, winner: undefined })
})

test('names no winner if the page shows the same value for both', () => {
  const [first] = compareRuns(createRun('one', { gapMs: 10 }), createRun('two', { gapMs: 10.04 }))
  expect(first).toMatchObject({ first: 10, second: 10.04, ratio: 1.004, winner: undefined })
})
