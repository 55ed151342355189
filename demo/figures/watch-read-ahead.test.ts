import { expect, test } from 'vitest'
import { watchReadAhead } from './watch-read-ahead.js'

test('chunks that are read one a task were not waiting', async () => {
  const watch = watchReadAhead()
  for (let chunk = 0; chunk < 3; chunk += 1) {
    watch.addChunk()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(watch.most).toBe(0)
})

test('chunks that are read in one task waited behind its first', async () => {
  const watch = watchReadAhead()
  for (let chunk = 0; chunk < 3; chunk += 1) {
    watch.addChunk()
    await Promise.resolve()
  }
  expect(watch.most).toBe(2)
})
