import { expose } from 'comlink'
import { expect, it } from 'vitest'
import { checkDownloadOptions } from './download-options.js'
import { holdLifeLock } from './contract/life-lock.js'
import { transferStream } from './contract/stream-transfer.js'
import type { LoadEvent, LoadProgress, LoadRequest } from './contract/worker-api.js'
import { startWorker } from './start-worker.js'

/** Stands in for a worker that loads without an end, and tells of it as fast as it is asked. */
function createLoadingWorker(): Worker {
  const { port1, port2 } = new MessageChannel()
  const end = new AbortController()
  const load = async ({ lifeLock }: LoadRequest) => {
    await holdLifeLock(lifeLock, end.signal)
    return transferStream(
      new ReadableStream<LoadEvent>(
        {
          pull(controller) {
            if (!end.signal.aborted) controller.enqueue({ kind: 'progress', progress: {} as LoadProgress })
          },
        },
        { highWaterMark: 0 },
      ),
    )
  }
  expose({ load }, port1)
  const terminate = () => {
    end.abort()
    port1.close()
  }
  return Object.assign(port2, { terminate }) as unknown as Worker
}

it('an aborted load reports no more progress, also if events are still on their way', async () => {
  const abort = new AbortController()
  let calls = 0
  const candidate = {
    backend: {
      name: 'scripted',
      options: {},
      model: { kind: 'named' },
      checkAvailability: () => Promise.resolve({ isAvailable: true } as const),
      createWorker: createLoadingWorker,
    },
    model: { kind: 'none' },
  } as const
  const onProgress = () => {
    calls += 1
    if (calls === 3) abort.abort(new Error('enough'))
  }
  const plan = {
    candidates: [candidate],
    download: checkDownloadOptions({}),
    persist: false,
    onProgress,
  }
  await expect(startWorker(plan, new Set(), abort.signal)).rejects.toThrow('enough')
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(calls).toBe(3)
})
