import { expect, test } from 'vitest'
import { watchReadAhead } from './watch-read-ahead.js'

test('a chunk that is the only one read in its task was not read ahead', async () => {
  const watch = watchReadAhead()
  for (let chunk = 0; chunk < 3; chunk += 1) {
    watch.addChunk()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(watch.max).toBe(0)
})

test('chunks read in the same task as an earlier one were read ahead', async () => {
  const watch = watchReadAhead()
  for (let chunk = 0; chunk < 3; chunk += 1) {
    watch.addChunk()
    await Promise.resolve()
  }
  expect(watch.max).toBe(2)
})
