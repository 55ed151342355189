import { RivuletError } from '../contract/errors.js'
import { deserializeThrown } from '../contract/error-transfer.js'
import { holdLifeLock } from '../contract/life-lock.js'
import { nameSeatLock, type FromSwitchboard } from '../contract/switchboard.js'
import {
  nameLifeLock,
  startWorker,
  type Candidate,
  type LoadPlan,
  type LoadedWorker,
} from '../start-worker.js'
import { connectPort, type PortConnection } from './connect-port.js'
import { nameSharedModel } from './name-model.js'
import { openSwitchboard } from './open-switchboard.js'
import { holdSeat, type FromSeat } from './seat.js'

/** How an engine shares its model. */
export interface Sharing {
  readonly lingerMs: number
  createSwitchboard(): SharedWorker
  /** Called when the number of engines that use the model has changed. */
  onEngines(engines: number): void
}

/**
 * Uses the origin's worker for these models, and starts it if there is none. Falls back to a worker of this engine where pages
 * cannot share one: without SharedWorker or Web Locks, or with local files, which have no address.
 * @param lost candidates that were lost before. They are not tried
 * @throws the same `RivuletError`s as `startWorker`; the reason of `signal`
 */
export async function startShared(
  plan: LoadPlan,
  sharing: Sharing,
  lost: ReadonlySet<Candidate>,
  signal: AbortSignal | undefined,
): Promise<LoadedWorker> {
  signal?.throwIfAborted()
  const candidates = plan.candidates.filter((candidate) => !lost.has(candidate))
  if (!canShare(candidates)) return startWorker(plan, lost, signal)
  const key = await nameSharedModel(candidates, plan.download)
  signal?.throwIfAborted()
  return (await join(key, { ...plan, candidates }, sharing, signal)) ?? startWorker(plan, lost, signal)
}

function canShare(candidates: readonly Candidate[]): boolean {
  const hasPlatform = 'SharedWorker' in globalThis && 'locks' in navigator && 'subtle' in crypto
  return hasPlatform && candidates.length > 0 && candidates.every(({ model }) => model.kind !== 'local')
}

/** @returns undefined if the switchboard cannot run here */
async function join(
  key: string,
  plan: LoadPlan,
  { lingerMs, createSwitchboard, onEngines }: Sharing,
  signal: AbortSignal | undefined,
): Promise<LoadedWorker | undefined> {
  // Aborted when this engine leaves the worker, or could not join.
  const leaving = new AbortController()
  const { signal: left } = leaving
  const lifeLock = nameLifeLock()
  await holdLifeLock(lifeLock, left)
  let asked: string | undefined
  let connection: PortConnection | undefined
  let settle!: {
    readonly resolve: (loaded: LoadedWorker) => void
    readonly reject: (reason: unknown) => void
  }
  const joined = new Promise<LoadedWorker>((resolve, reject) => (settle = { resolve, reject }))
  // It can reject before it is awaited.
  joined.catch(() => {})

  /** Asks a seat for a connection. If the seat ends before it answers, the next one is asked. */
  function askSeat(seat: string): void {
    if (connection) {
      if (seat !== asked) connection.leave(new RivuletError('worker-failed', 'Another tab loads the model.'))
      return
    }
    asked = seat
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = ({ data }: MessageEvent<FromSeat>) => {
      if (asked === seat && !connection) receive(data, port1, seat)
    }
    switchboard?.send({ kind: 'connect', key, seat, lifeLock, lingerMs }, [port2])
  }

  function receive(message: FromSeat, port: MessagePort, seat: string): void {
    if (message.kind === 'progress') plan.onProgress?.(message.progress)
    if (message.kind === 'failed') settle.reject(deserializeThrown(message.error))
    if (message.kind !== 'ready') return
    port.onmessage = null
    const { info, skipped, candidate, workerLock } = message
    connection = connectPort(port, workerLock, () => switchboard?.send({ kind: 'depose', key, seat }))
    connection.closed.addEventListener('abort', () => leaving.abort())
    const { silenceTimeoutMs } = plan
    settle.resolve({ connection, info, candidate: plan.candidates[candidate]!, skipped, silenceTimeoutMs })
  }

  const onMessage = (message: FromSwitchboard) => {
    if (message.kind === 'seat') askSeat(message.seat)
    if (message.kind === 'engines') onEngines(message.engines)
  }
  const introduction = { kind: 'join', key, lifeLock } as const
  const switchboard = await openSwitchboard({
    create: createSwitchboard,
    introduction,
    onMessage,
    ended: left,
  })
  if (!switchboard) {
    leaving.abort()
    return undefined
  }
  const electing = new AbortController()
  void wantSeat(key, plan, createSwitchboard, electing.signal).catch(settle.reject)
  const abort = () => settle.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted) abort()
  try {
    return await joined
  } catch (error) {
    leaving.abort()
    throw error
  } finally {
    electing.abort()
    signal?.removeEventListener('abort', abort)
  }
}

/**
 * Waits to become the page that holds the model, until `signal` aborts. The seat outlives the engine that wanted it.
 * @throws RivuletError the error of the load in this page
 */
async function wantSeat(
  key: string,
  plan: LoadPlan,
  createSwitchboard: () => SharedWorker,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const ending = new AbortController()
    const hold = () => holdSeat(key, plan, createSwitchboard, signal, ending)
    try {
      await navigator.locks.request(nameSeatLock(key), { signal }, hold)
    } catch (error) {
      // The request was aborted, or the lock was stolen because this page was frozen.
      ending.abort(new RivuletError('worker-failed', 'Another tab loads the model.'))
      if (error instanceof RivuletError) throw error
    }
  }
}
