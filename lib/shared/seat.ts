import { RivuletError, asRivuletError } from '../contract/errors.js'
import { serializeThrown, type SerializedThrown } from '../contract/error-transfer.js'
import { holdLifeLock, watchLifeLock } from '../contract/life-lock.js'
import type { SharedClient } from '../contract/switchboard.js'
import type { LoadProgress, ModelInfo } from '../contract/worker-api.js'
import {
  nameLifeLock,
  startWorker,
  type LoadPlan,
  type SkippedBackend,
  type StartedWorker,
} from '../start-worker.js'
import { unloadWorker } from '../unload-worker.js'
import { openSwitchboard, type SwitchboardUse } from './open-switchboard.js'

/** What a page that holds a model sends to a client, before the client's port is the worker's. */
export type FromSeat =
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  | {
      readonly kind: 'ready'
      readonly info: ModelInfo
      /** The index of the backend in the list. It is the same list on all pages. */
      readonly candidate: number
      readonly skipped: readonly SkippedBackend[]
      readonly workerLock: string
    }
  | { readonly kind: 'failed'; readonly error: SerializedThrown }

/**
 * Loads the model in a worker of this page, and connects the engines of all pages with it, until none is left.
 * @param wanted aborted when the engine that wanted the seat has joined, or has given up
 * @throws the error of the load, unless `ending` aborted it
 */
export async function holdSeat(
  key: string,
  plan: LoadPlan,
  createSwitchboard: () => SharedWorker,
  wanted: AbortSignal,
  ending: AbortController,
): Promise<void> {
  const { signal: ended } = ending
  const end = (reason: RivuletError) => ending.abort(reason)
  const lifeLock = nameLifeLock()
  const waiting = new Map<MessagePort, SharedClient>()
  const clients = new Set<string>()
  let worker: StartedWorker | undefined
  let lingering: ReturnType<typeof setTimeout> | undefined

  /** Ends the seat after `lingerMs` if nobody uses or wants it by then. A load that nobody waits for ends at once. */
  function endUnused(lingerMs: number): void {
    if (clients.size > 0 || !wanted.aborted) return
    clearTimeout(lingering)
    const run = () => end(new RivuletError('engine-disposed', 'No tab uses the model.'))
    lingering = setTimeout(run, worker ? lingerMs : 0)
  }

  const post = (port: MessagePort, message: FromSeat) => port.postMessage(message)
  const broadcast = (message: FromSeat) => {
    for (const port of waiting.keys()) post(port, message)
  }

  function addClient(port: MessagePort, client: SharedClient): void {
    clearTimeout(lingering)
    clients.add(client.lifeLock)
    waiting.set(port, client)
    watchLifeLock(client.lifeLock, ended, () => {
      clients.delete(client.lifeLock)
      waiting.delete(port)
      endUnused(client.lingerMs)
    })
    if (worker) connectClients(worker)
  }

  function connectClients({ connection, info, candidate, skipped, workerLock }: StartedWorker): void {
    for (const [port, client] of waiting) {
      const index = plan.candidates.indexOf(candidate)
      post(port, { kind: 'ready', info, candidate: index, skipped, workerLock })
      connection.addClient({ kind: 'rivulet-client', lifeLock: client.lifeLock }, port)
    }
    waiting.clear()
  }

  try {
    await holdLifeLock(lifeLock, ended)
    wanted.addEventListener('abort', () => endUnused(0), { signal: ended })
    // An aborted signal fires no event.
    endUnused(0)
    const seat = crypto.randomUUID()
    const use: SwitchboardUse = {
      create: createSwitchboard,
      introduction: { kind: 'serve', key, seat, lifeLock },
      onMessage(message, [port]) {
        if (message.kind === 'connect' && port) addClient(port, message)
        else if (message.kind === 'end') end(new RivuletError('worker-failed', 'Another tab got no answer.'))
      },
      ended,
    }
    // It has answered this page before, so it is only slow.
    while (!(await openSwitchboard(use)) && !ended.aborted);
    ended.throwIfAborted()
    const onProgress = (progress: LoadProgress) => broadcast({ kind: 'progress', progress })
    const started = await startWorker({ ...plan, onProgress }, new Set(), ended)
    worker = { ...started, info: { ...started.info, host: 'shared' } }
    connectClients(worker)
    const { closed } = started.connection
    await new Promise((resolve) => {
      for (const signal of [closed, ended]) {
        if (signal.aborted) resolve(undefined)
        signal.addEventListener('abort', resolve)
      }
    })
    if (closed.aborted) return
    const reason = ended.reason as RivuletError
    // A worker that another tab got no answer from is not asked to unload.
    if (reason.code === 'engine-disposed') await unloadWorker(started.connection, reason)
    else started.connection.terminate(reason)
  } catch (error) {
    const failure = asRivuletError(error, 'worker-failed', 'The model could not be loaded')
    // If the load was aborted, the next page loads.
    if (ended.aborted) return
    broadcast({ kind: 'failed', error: serializeThrown(failure) })
    throw failure
  } finally {
    clearTimeout(lingering)
    end(new RivuletError('engine-disposed', 'The worker ended.'))
  }
}
