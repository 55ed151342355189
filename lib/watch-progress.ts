import type { Remote } from 'comlink'
import type { Connection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { GenerateRequest } from './contract/request.js'
import type { WorkerApi } from './contract/worker-api.js'
import type { LoadedWorker } from './start-worker.js'

/** How long a worker may compute without progress, by default. */
export const defaultSilenceTimeoutMs = 60_000
/** A prompt is computed in few parts, each without a sign of progress: so much more time for each of its characters. */
const msPerPromptCharacter = 25
/** A runtime can block its thread while it reads the weights. Measured: 11 ms for each megabyte, on two busy cores. */
const msPerMegabyte = 100
/** A worker may take this many times as long as its longest step so far. */
const longestFactor = 10
const maxCheckMs = 2000

/** Watches one worker while streams of it are open. */
interface ProgressWatch {
  /** Starts watching. @param countExtraMs returns how much more time the worker has. @returns a function that ends it */
  enter(countExtraMs: () => number): () => void
}

/** Watches a worker while it loads a model. */
export interface LoadWatch {
  /** Takes the size of the model's files, as far as it is known. */
  setTotalBytes(totalBytes: number): void
  /** True if the worker did not answer and was terminated. */
  readonly isSilent: boolean
  leave(): void
}

/** The time and the timers, which a test replaces. */
export interface WatchClock {
  now(): number
  /** Calls `run` once, after `ms`. @returns a function that prevents it */
  wait(run: () => void, ms: number): () => void
}

const pageClock: WatchClock = {
  now: () => performance.now(),
  wait(run, ms) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

const watches = new WeakMap<Connection, ProgressWatch>()

/**
 * Opens a stream of a worker. Until it ends, the worker has to make progress whenever it computes for a reader: otherwise it is
 * terminated, with `worker-failed`.
 */
export async function openWatched<Event>(
  loaded: LoadedWorker,
  request: GenerateRequest,
  open: (worker: Remote<WorkerApi>) => Promise<ReadableStream<Event>>,
): Promise<ReadableStream<Event>> {
  const { connection, info, silenceTimeoutMs } = loaded
  if (silenceTimeoutMs === Infinity) return connection.call(open)
  // A server, or the browser, computes elsewhere: only the worker's answers count then. `remote()` watches its connection.
  const isElsewhere = info.device === 'server' || info.device === 'browser'
  const watch = watches.get(connection) ?? watchProgress(connection, isElsewhere, silenceTimeoutMs)
  watches.set(connection, watch)
  const { length } = JSON.stringify([request.input, request.resume])
  const leave = watch.enter(() => msPerPromptCharacter * length)
  try {
    return onEnd(await connection.call(open), leave)
  } catch (error) {
    leave()
    throw error
  }
}

/**
 * Watches a worker that loads a model: its thread has to answer from its first answer on. Before, its script is still loaded. How
 * far the load itself is does not count: a driver takes minutes for a first compilation of shaders, and leaves the thread free.
 */
export function watchLoad(connection: WatchedConnection, timeoutMs: number, clock = pageClock): LoadWatch {
  let totalBytes = 0
  let isSilent = false
  let isOver = timeoutMs === Infinity
  let leave = () => {}
  const watch = watchProgress(connection, true, timeoutMs, clock, (reason) => {
    isSilent = true
    connection.terminate(reason)
  })

  async function start(): Promise<void> {
    await connection.call((worker) => worker.readStatus())
    if (!isOver) leave = watch.enter(() => (totalBytes / 1e6) * msPerMegabyte)
  }

  if (!isOver) start().catch(() => {})
  return {
    setTotalBytes: (bytes) => void (totalBytes = bytes),
    get isSilent() {
      return isSilent
    },
    leave() {
      isOver = true
      leave()
    },
  }
}

type WatchedConnection = Pick<Connection, 'call' | 'closed' | 'terminate'>

/**
 * Watches a worker by its own reports: it is asked how many steps it has computed. A worker with a blocked thread does not
 * answer; a hung driver leaves it computing the same step. The time that the page was frozen does not count.
 * @param isElsewhere true if the worker only has to answer
 */
export function watchProgress(
  { call, closed, terminate }: WatchedConnection,
  isElsewhere: boolean,
  timeoutMs: number,
  clock = pageClock,
  end = terminate,
): ProgressWatch {
  const entries = new Set<{ readonly countExtraMs: () => number }>()
  const checkMs = Math.min(maxCheckMs, timeoutMs / 4)
  let isAsking = false
  let steps = -1
  let silentMs = 0
  let longestMs = 0
  let checkedAt = 0
  let stop: (() => void) | undefined

  async function ask(): Promise<void> {
    if (isAsking) return
    isAsking = true
    try {
      const status = await call((worker) => worker.readStatus())
      const hasMoved = status.steps !== steps
      if (hasMoved) longestMs = Math.max(longestMs, silentMs)
      if (hasMoved || !status.isComputing || isElsewhere) silentMs = 0
      steps = status.steps
    } finally {
      isAsking = false
    }
  }

  function check(): void {
    stop = undefined
    if (entries.size === 0 || closed.aborted) return
    const now = clock.now()
    silentMs += Math.min(now - checkedAt, 2 * checkMs)
    checkedAt = now
    const extraMs = Math.max(...[...entries].map(({ countExtraMs }) => countExtraMs()))
    const limitMs = Math.max(timeoutMs + extraMs, longestFactor * longestMs)
    if (silentMs > limitMs) {
      return end(
        new RivuletError(
          'worker-failed',
          `The worker made no progress for ${Math.round(silentMs / 1000)} seconds and was ended. If this device is that slow, set "silenceTimeoutMs" to a longer time.`,
        ),
      )
    }
    ask().catch(() => {})
    stop = clock.wait(check, checkMs)
  }

  return {
    enter(countExtraMs) {
      const entry = { countExtraMs }
      entries.add(entry)
      if (!stop) {
        silentMs = 0
        checkedAt = clock.now()
        stop = clock.wait(check, checkMs)
      }
      return () => {
        entries.delete(entry)
        if (entries.size > 0) return
        stop?.()
        stop = undefined
      }
    },
  }
}

/** Returns a stream with the same chunks, and calls `run` when it has ended, for any reason. */
function onEnd<Chunk>(source: ReadableStream<Chunk>, run: () => void): ReadableStream<Chunk> {
  const reader = source.getReader()
  return new ReadableStream<Chunk>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          run()
          controller.close()
        } catch (error) {
          run()
          throw error
        }
      },
      cancel(reason) {
        run()
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}
