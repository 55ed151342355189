import type { Remote } from 'comlink'
import type { Connection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { GenerateRequest } from './contract/request.js'
import type { ModelInfo, WorkerApi } from './contract/worker-api.js'
import type { LoadedWorker } from './start-worker.js'

/** How long a worker may compute without progress, by default. */
export const defaultSilenceTimeoutMs = 60_000
/** A prompt is computed in few parts, each without a sign of progress: so much more time for each of its characters. */
const msPerPromptCharacter = 25
/** A worker may take this many times as long as its longest step so far. */
const longestFactor = 10
const maxCheckMs = 2000

/** Watches one worker while streams of it are open. */
interface ProgressWatch {
  /** Starts watching. @returns a function that ends it */
  enter(promptLength: number): () => void
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
  const watch = watches.get(connection) ?? watchProgress(connection, info.device, silenceTimeoutMs)
  watches.set(connection, watch)
  const leave = watch.enter(JSON.stringify([request.input, request.resume]).length)
  try {
    return onEnd(await connection.call(open), leave)
  } catch (error) {
    leave()
    throw error
  }
}

/**
 * Watches a worker by its own reports: it is asked how many steps it has computed. A worker with a blocked thread does not
 * answer; a hung driver leaves it computing the same step. The time that the page was frozen does not count.
 */
export function watchProgress(
  { call, closed, terminate }: Pick<Connection, 'call' | 'closed' | 'terminate'>,
  device: ModelInfo['device'],
  timeoutMs: number,
  clock = pageClock,
): ProgressWatch {
  const promptLengths = new Set<{ readonly length: number }>()
  const checkMs = Math.min(maxCheckMs, timeoutMs / 4)
  // A server, or the browser, computes elsewhere: only the worker's answers count then. `remote()` watches its connection.
  const isElsewhere = device === 'server' || device === 'browser'
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
    if (promptLengths.size === 0 || closed.aborted) return
    const now = clock.now()
    silentMs += Math.min(now - checkedAt, 2 * checkMs)
    checkedAt = now
    const longestPrompt = Math.max(...[...promptLengths].map(({ length }) => length))
    const limitMs = Math.max(timeoutMs + msPerPromptCharacter * longestPrompt, longestFactor * longestMs)
    if (silentMs > limitMs) {
      return terminate(
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
    enter(length) {
      const entry = { length }
      promptLengths.add(entry)
      if (!stop) {
        silentMs = 0
        checkedAt = clock.now()
        stop = clock.wait(check, checkMs)
      }
      return () => {
        promptLengths.delete(entry)
        if (promptLengths.size > 0) return
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
