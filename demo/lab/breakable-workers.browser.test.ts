import { expect, test } from 'vitest'
import { createBreakableWorkers } from './breakable-workers.js'

const startWorker = () =>
  new Worker(new URL('./losable-gpu.worker.test-support.ts', import.meta.url), { type: 'module' })

test('the lose-device fault destroys the GPU device in a real worker', async () => {
  const workers = createBreakableWorkers(startWorker)
  const worker = workers.create()
  const waitForMessage = (message: string) =>
    new Promise<void>((resolve) => {
      worker.addEventListener('message', ({ data }) => data === message && resolve())
    })
  const lost = waitForMessage('destroyed')
  await waitForMessage('device created')
  expect(await workers.readCounts()).toMatchObject({ gpuDevices: 1 })
  workers.loseDevice()
  await lost
  workers.terminate()
})
