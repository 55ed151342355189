import { expect, test } from 'vitest'
import { maxRuns, openRunHistory } from './run-history.js'
import { createRun } from './run.test-support.js'

test('stores the newest runs and deletes the oldest ones', async () => {
  const name = crypto.randomUUID()
  const history = openRunHistory(name)
  const surplus = 3
  for (let startedAt = 0; startedAt < maxRuns + surplus; startedAt += 1) {
    await history.add(createRun(`run ${startedAt}`, { startedAt }))
  }
  const expected = Array.from({ length: maxRuns }, (_, index) => `run ${maxRuns + surplus - 1 - index}`)
  expect(history.runs.value.map(({ prompt }) => prompt)).toEqual(expected)

  const reopened = openRunHistory(name)
  await expect.poll(() => reopened.runs.value.length).toBe(maxRuns)
  expect(reopened.runs.value).toEqual(history.runs.value)

  await reopened.clear()
  expect(reopened.runs.value).toEqual([])
  const emptied = openRunHistory(name)
  await emptied.add(createRun('the only one', { startedAt: 1 }))
  expect(emptied.runs.value.map(({ prompt }) => prompt)).toEqual(['the only one'])
})
