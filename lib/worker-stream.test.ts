import { describe, expect, it } from 'vitest'
import type { Connection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { LoadedWorker } from './start-worker.js'
import { readOnlyChunk, readWorkerStream } from './worker-stream.js'

/** Stands in for a worker whose stream has these chunks. Without chunks, the stream stays silent. */
function createWorker(chunks: readonly number[] | RivuletError | undefined) {
  const closing = new AbortController()
  const seen = { isCancelled: false }
  const stream = new ReadableStream<number>({
    start(controller) {
      if (!chunks) return
      if (!Array.isArray(chunks)) return controller.error(chunks)
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
    cancel() {
      seen.isCancelled = true
    },
  })
  const connection: Connection = {
    call: (run) => run(undefined as never),
    closed: closing.signal,
    terminate: (reason) => closing.abort(reason),
  }
  // Cast: nothing else of it is read.
  const loaded = { connection, silenceTimeoutMs: Infinity } as LoadedWorker
  return { seen, stream, loaded, closed: closing.signal }
}

function read(
  workers: readonly ReturnType<typeof createWorker>[],
  { canRecover = true, signal }: { readonly canRecover?: boolean; readonly signal?: AbortSignal } = {},
) {
  let taken = -1
  return readWorkerStream({
    takeWorker: async () => workers[(taken += 1)]!.loaded,
    createRequest: () => ({ input: { kind: 'text', text: 'Hi' }, options: { stop: [] } }),
    open: async () => workers[taken]!.stream,
    read: readOnlyChunk<number>,
    canRecover,
    signals: [signal, undefined],
  })
}

const lost = () => new RivuletError('device-lost', 'gone')

describe('a call that reads a stream of a worker (stand-in worker)', () => {
  it('returns its chunk', async () => {
    expect(await read([createWorker([7])])).toBe(7)
  })

  it('starts again with another worker after a loss, and terminates the lost one', async () => {
    const first = createWorker(lost())
    expect(await read([first, createWorker([7])])).toBe(7)
    expect(first.closed.reason).toMatchObject({ code: 'device-lost' })
  })

  it('fails after three lost workers, and at once if losses are not recovered', async () => {
    const workers = [1, 2, 3, 4].map(() => createWorker(lost()))
    await expect(read(workers)).rejects.toMatchObject({ code: 'device-lost' })
    expect(workers.map(({ closed }) => closed.aborted)).toEqual([true, true, true, false])
    const alone = read([createWorker(lost()), createWorker([7])], { canRecover: false })
    await expect(alone).rejects.toMatchObject({ code: 'device-lost' })
  })

  it('fails without another try if the request is refused', async () => {
    const refusal = new RivuletError('chat-template-failed', 'no such role')
    await expect(read([createWorker(refusal), createWorker([7])])).rejects.toBe(refusal)
  })

  it('settles when its worker dies silently', async () => {
    const worker = createWorker(undefined)
    const reading = read([worker], { canRecover: false })
    setTimeout(() => worker.loaded.connection.terminate(new RivuletError('worker-failed', 'died')), 5)
    await expect(reading).rejects.toMatchObject({ code: 'worker-failed', message: 'died' })
  })

  it('ends with the reason of a signal, and cancels the stream', async () => {
    const worker = createWorker(undefined)
    const abort = new AbortController()
    const reading = read([worker], { signal: abort.signal })
    setTimeout(() => abort.abort('left'), 5)
    await expect(reading).rejects.toBe('left')
    expect(worker.seen.isCancelled).toBe(true)
    await expect(read([createWorker([7])], { signal: AbortSignal.abort('before') })).rejects.toBe('before')
  })

  it('fails if the stream has no chunk', async () => {
    await expect(read([createWorker([])], { canRecover: false })).rejects.toMatchObject({
      code: 'worker-failed',
    })
  })
})
