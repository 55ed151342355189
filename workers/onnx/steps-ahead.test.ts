import { expect, it } from 'vitest'
import { createDeferred } from '../../lib/contract/create-deferred.js'
import { createStepsAhead } from './steps-ahead.js'

function open() {
  let nowMs = 0
  const ahead = createStepsAhead(() => nowMs)
  /** Runs steps at the same time. @param endsMs when each ends */
  async function run(endsMs: readonly number[], error?: Error): Promise<void> {
    const startMs = nowMs
    const steps = endsMs.map(() => createDeferred<void>())
    for (const step of steps) ahead.track(step.promise)
    for (const [index, step] of steps.entries()) {
      nowMs = startMs + endsMs[index]!
      if (error) step.reject(error)
      else step.resolve()
      await new Promise(setImmediate)
    }
  }
  return { ahead, run }
}

it('starts one step ahead before any was measured', () => {
  expect(open().ahead.most).toBe(1)
})

it('starts two steps ahead while steps are short', async () => {
  const { ahead, run } = open()
  await run([1.9])
  expect(ahead.most).toBe(2)
  await run([2.1])
  expect(ahead.most).toBe(1)
})

it('counts the steps that run at the same time', async () => {
  const { ahead, run } = open()
  await run([1.9, 3.8, 5.7])
  expect(ahead.most).toBe(2)
  await run([2.1, 4.2, 6.3])
  expect(ahead.most).toBe(1)
})

it('does not measure a step that fails', async () => {
  const { ahead, run } = open()
  await run([0.1], new Error('lost'))
  expect(ahead.most).toBe(1)
  await run([1.9])
  expect(ahead.most).toBe(2)
})
