import { expect, test } from 'vitest'
import { keptRuns, openRunHistory } from './run-history.js'
import { createRun } from './run.test-support.js'

test('the newest runs are remembered, and the oldest make room', async () => {
  const name = crypto.randomUUID()
  const history = openRunHistory(name)
  const surplus = 3
  for (let startedAt = 0; startedAt < keptRuns + surplus; startedAt += 1) {
    await history.add(createRun(`run ${startedAt}`, { startedAt }))
  }
  const expected = Array.from({ length: keptRuns }, (_, index) => `run ${keptRuns + surplus - 1 - index}`)
  expect(history.runs.value.map(({ prompt }) => prompt)).toEqual(expected)

  const reopened = openRunHistory(name)
  await expect.poll(() => reopened.runs.value.length).toBe(keptRuns)
  expect(reopened.runs.value).toEqual(history.runs.value)

  await reopened.clear()
  expect(reopened.runs.value).toEqual([])
  const emptied = openRunHistory(name)
  await emptied.add(createRun('the only one', { startedAt: 1 }))
  expect(emptied.runs.value.map(({ prompt }) => prompt)).toEqual(['the only one'])
})
