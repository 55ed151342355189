import { RivuletError, asRivuletError } from './contract/errors.js'
import type { GenerateRequest } from './contract/request.js'
import type { WorkerApi } from './contract/worker-api.js'
import type { LoadedWorker } from './start-worker.js'
import type { Remote } from 'comlink'
import { openWatched } from './watch-progress.js'

/** How many lost workers in a row a call replaces before it fails. */
const maxAttempts = 3

/** A call that reads one stream of a worker. */
export interface WorkerStreamCall<Event, Result> {
  /** Returns the worker to use. Called again after a loss. */
  takeWorker(): Promise<LoadedWorker>
  /** Creates the request for a worker. Called again after a loss, with the new worker. */
  createRequest(loaded: LoadedWorker): GenerateRequest
  open(worker: Remote<WorkerApi>, request: GenerateRequest): Promise<ReadableStream<Event>>
  read(events: ReadableStreamDefaultReader<Event>): Promise<Result>
  readonly canRecover: boolean
  /** The call rejects with the reason of the signal that aborts first. */
  readonly signals: readonly (AbortSignal | undefined)[]
}

/**
 * Reads a stream of a worker, and starts again with another worker if the worker or its GPU is lost.
 * @throws RivuletError the worker's error; or the reason of a signal
 */
export async function readWorkerStream<Event, Result>(
  call: WorkerStreamCall<Event, Result>,
): Promise<Result> {
  const { takeWorker, createRequest, open, read, canRecover } = call
  const signals = call.signals.filter((signal) => signal !== undefined)
  for (let attempt = 1; ; attempt += 1) {
    for (const signal of signals) signal.throwIfAborted()
    const loaded = await rejectOnAbort(takeWorker(), signals)
    const { connection } = loaded
    try {
      const request = createRequest(loaded)
      const start = () => openWatched(loaded, request, (worker) => open(worker, request))
      return await readOnce(connection.closed, start, read, signals)
    } catch (error) {
      for (const signal of signals) signal.throwIfAborted()
      const failure = asRivuletError(error, 'generation-failed', 'The call failed')
      const isLost = failure.code === 'worker-failed' || failure.code === 'device-lost'
      if (isLost) connection.terminate(failure)
      if (!isLost || !canRecover || attempt >= maxAttempts) throw failure
    }
  }
}

async function readOnce<Event, Result>(
  closed: AbortSignal,
  open: () => Promise<ReadableStream<Event>>,
  read: (events: ReadableStreamDefaultReader<Event>) => Promise<Result>,
  signals: readonly AbortSignal[],
): Promise<Result> {
  let events: ReadableStreamDefaultReader<Event> | undefined
  let isLeft = false
  const leave = () => void events?.cancel().catch(() => {})
  const run = async () => {
    events = (await open()).getReader()
    // The call may have been left while the worker answered.
    if (isLeft) leave()
    return read(events)
  }
  try {
    // A worker that dies does not end its streams.
    return await rejectOnAbort(run(), [closed, ...signals])
  } finally {
    isLeft = true
    leave()
  }
}

/** Settles like the promise. Rejects with the reason of a signal that aborts first. */
function rejectOnAbort<Result>(promise: Promise<Result>, signals: readonly AbortSignal[]): Promise<Result> {
  const settled = new AbortController()
  return new Promise<Result>((resolve, reject) => {
    for (const signal of signals) {
      const fail = () => reject(signal.reason)
      if (signal.aborted) fail()
      signal.addEventListener('abort', fail, { signal: settled.signal })
    }
    promise.then(resolve, reject)
  }).finally(() => settled.abort())
}

/** Reads the only chunk of a stream. @throws RivuletError `worker-failed` if the stream ends without one */
export async function readOnlyChunk<Chunk>(events: ReadableStreamDefaultReader<Chunk>): Promise<Chunk> {
  const { done, value } = await events.read()
  if (!done) return value
  throw new RivuletError('worker-failed', "The worker's stream stopped before its result.")
}
