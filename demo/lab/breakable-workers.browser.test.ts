import { expect, test } from 'vitest'
import { createBreakableWorkers } from './breakable-workers.js'

const startWorker = () =>
  new Worker(new URL('./losable-gpu.worker.test-support.ts', import.meta.url), { type: 'module' })

test('losing the device destroys the GPU device of a real worker', async () => {
  const workers = createBreakableWorkers(startWorker)
  const worker = workers.create()
  const waitFor = (what: string) =>
    new Promise<void>((resolve) => {
      worker.addEventListener('message', ({ data }) => data === what && resolve())
    })
  const lost = waitFor('destroyed')
  await waitFor('device there')
  expect(await workers.askCounts()).toMatchObject({ gpuDevices: 1 })
  workers.loseDevice()
  await lost
  workers.kill()
})
