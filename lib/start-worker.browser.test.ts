import { expose } from 'comlink'
import { describe, expect, it } from 'vitest'
import { checkDownloadOptions } from './download-options.js'
import { RivuletError } from './contract/errors.js'
import { holdLifeLock } from './contract/life-lock.js'
import { transferStream } from './contract/stream-transfer.js'
import type { LoadEvent, LoadProgress, LoadRequest } from './contract/worker-api.js'
import { startWorker, type LoadPlan } from './start-worker.js'

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

/** Stands in for a worker whose thread is blocked by its load: it answers before, and then no more. */
function createHangingWorker(losses: unknown[]): Worker {
  const { port1, port2 } = new MessageChannel()
  let isBlocked = false
  const load = (request: LoadRequest) => {
    losses.push(request.losses)
    isBlocked = true
    return new Promise(() => {})
  }
  const readStatus = () =>
    isBlocked ? new Promise(() => {}) : { scriptUrl: '', steps: 0, isComputing: false }
  expose({ load, readStatus }, port1)
  return Object.assign(port2, { terminate: () => port1.close() }) as unknown as Worker
}

/** Stands in for a worker whose GPU is lost while it loads. @param losses gets the number in each request */
function createLosingWorker(losses: unknown[] = []): Worker {
  const { port1, port2 } = new MessageChannel()
  const load = (request: LoadRequest): never => {
    losses.push(request.losses)
    throw new RivuletError('device-lost', 'The GPU crashed.')
  }
  expose({ load }, port1)
  return Object.assign(port2, { terminate: () => port1.close() }) as unknown as Worker
}

const createPlan = (
  createWorker: () => Worker,
  onProgress?: () => void,
  onReload?: LoadPlan['onReload'],
  silenceTimeoutMs = Infinity,
) =>
  ({
    candidates: [
      {
        backend: {
          name: 'scripted',
          options: {},
          model: { kind: 'named' },
          checkAvailability: () => Promise.resolve({ isAvailable: true }),
          createWorker,
        },
        model: { kind: 'none' },
      },
    ],
    download: checkDownloadOptions({}),
    persist: false,
    onProgress,
    onReload,
    silenceTimeoutMs,
  }) satisfies LoadPlan

it('an aborted load reports no more progress, also if events are still on their way', async () => {
  const abort = new AbortController()
  let calls = 0
  const plan = createPlan(createLoadingWorker, () => {
    calls += 1
    if (calls === 3) abort.abort(new Error('enough'))
  })
  await expect(startWorker(plan, new Set(), abort.signal)).rejects.toThrow('enough')
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(calls).toBe(3)
})

describe("a worker's script that cannot be loaded", () => {
  const createMissing = () => new Worker('/no-such-worker.js', { type: 'module' })

  it('is requested again, and the load continues', async () => {
    const abort = new AbortController()
    const workers = [createMissing, createLoadingWorker]
    const plan = createPlan(
      () => workers.shift()!(),
      () => abort.abort(new Error('loading')),
    )
    await expect(startWorker(plan, new Set(), abort.signal)).rejects.toThrow('loading')
    expect(workers).toEqual([])
  })

  it('is requested twice, and then named by an error', async () => {
    let calls = 0
    const plan = createPlan(() => {
      calls += 1
      return createMissing()
    })
    await expect(startWorker(plan, new Set(), undefined)).rejects.toMatchObject({
      code: 'worker-failed',
      message: expect.stringContaining('could not be loaded'),
    })
    expect(calls).toBe(2)
  })
})

describe('a GPU that is lost during a load', () => {
  it('is reported, and the load starts again in a new worker', async () => {
    const abort = new AbortController()
    const workers = [() => createLosingWorker(), createLoadingWorker]
    const reasons: RivuletError[] = []
    const plan = createPlan(
      () => workers.shift()!(),
      () => abort.abort(new Error('loading')),
      (reason) => reasons.push(reason),
    )
    await expect(startWorker(plan, new Set(), abort.signal)).rejects.toThrow('loading')
    expect(workers).toEqual([])
    expect(reasons).toMatchObject([{ code: 'device-lost', message: 'The GPU crashed.' }])
  })

  it.each([
    ['three times, and the worker knows how often', () => {}, [0, 1, 2]],
    ['once, with recovery off', undefined, [0]],
  ])('is an error if it is lost %s', async (_, onReload, expected) => {
    const losses: unknown[] = []
    const plan = createPlan(() => createLosingWorker(losses), undefined, onReload)
    await expect(startWorker(plan, new Set(), undefined)).rejects.toMatchObject({ code: 'device-lost' })
    expect(losses).toEqual(expected)
  })
})

it('a worker that fails is not started again', async () => {
  let calls = 0
  const plan = createPlan(() => {
    calls += 1
    const script = new Blob(['throw new Error("out of luck")'], { type: 'text/javascript' })
    return new Worker(URL.createObjectURL(script), { type: 'module' })
  })
  await expect(startWorker(plan, new Set(), undefined)).rejects.toMatchObject({ message: /out of luck/ })
  expect(calls).toBe(1)
})

describe('a worker that stops answering during a load', () => {
  it.each([
    ['and stops again and again', () => {}, [0, 1, 2]],
    ['but loads are not repeated', undefined, [0]],
  ])('is ended and replaced, or is an error if it stops %s', async (_, onReload, expected) => {
    const losses: unknown[] = []
    const plan = createPlan(() => createHangingWorker(losses), undefined, onReload, 100)
    await expect(startWorker(plan, new Set(), undefined)).rejects.toMatchObject({
      code: 'worker-failed',
      message: expect.stringContaining('made no progress'),
    })
    expect(losses).toEqual(expected)
  })
})
