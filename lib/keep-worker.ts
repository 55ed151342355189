import type { Connection } from './connect-worker.js'
import type { RivuletError } from './contract/errors.js'
import type { ModelInfo } from './contract/worker-api.js'
import { callObserver } from './observer.js'
import type { Candidate, LoadedWorker } from './start-worker.js'
import { waitForGpu } from './wait-for-gpu.js'

/** The backends and functions with which `keepWorker` replaces a lost worker. */
export interface Recovery {
  /** All backends of the engine, each with its model. */
  readonly candidates: readonly Candidate[]
  /** Starts a worker and loads a model. Does not try the candidates in `lost`. */
  start(lost: ReadonlySet<Candidate>, signal: AbortSignal | undefined): Promise<LoadedWorker>
  /** Called before a lost worker is replaced, with the reason of the loss. */
  readonly onRecovery: ((reason: RivuletError) => void) | undefined
  /** Called after a lost worker has been replaced, with the new worker's model. */
  readonly onLoad: (info: ModelInfo) => void
}

/** A loaded worker. If the worker is dead when a caller needs one, a new worker replaces it. */
export interface KeptWorker {
  /** The newest worker. It may be dead. */
  readonly current: LoadedWorker
  /**
   * Returns the newest worker, or its replacement if that worker is dead. Callers that wait for a replacement get it in
   * ascending order of `order`.
   * @throws RivuletError the error of loading the replacement; the next call tries again
   */
  take(order: number): Promise<LoadedWorker>
  /**
   * Terminates the worker `from`, if it is the newest, and excludes its backend. The next worker then uses another backend.
   * @returns true if there is another backend; if false, nothing has changed
   */
  switchBackend(from: Connection, reason: RivuletError): boolean
}

/**
 * Keeps a worker, and replaces it if it is dead when a caller needs it.
 * @param recovery if undefined, a dead worker is not replaced
 * @param signal aborts a replacement
 */
export function keepWorker(
  first: LoadedWorker,
  recovery: Recovery | undefined,
  signal: AbortSignal,
): KeptWorker {
  const waiting: Waiting[] = []
  const lost = new Set<Candidate>()
  let current = first
  let isReplacing = false

  async function replace({ start, onRecovery, onLoad }: Recovery): Promise<void> {
    const reason = current.connection.closed.reason as RivuletError
    callObserver(() => onRecovery?.(reason))
    if (current.info.device === 'webgpu') await waitForGpu(signal)
    signal.throwIfAborted()
    const next = await start(lost, signal).catch((error: unknown) => {
      // No backend could be started: the next call tries all backends again.
      lost.clear()
      throw error
    })
    if (signal.aborted) next.connection.terminate(signal.reason as RivuletError)
    current = next
    if (!signal.aborted) onLoad(next.info)
  }

  async function serveWaiting(how: Recovery): Promise<void> {
    isReplacing = true
    const outcome = await replace(how).then(
      () => ({ kind: 'replaced' }) as const,
      (error: unknown) => ({ kind: 'failed', error }) as const,
    )
    isReplacing = false
    for (const { resolve, reject } of waiting.splice(0).toSorted((a, b) => a.order - b.order)) {
      if (outcome.kind === 'replaced') resolve(current)
      else reject(outcome.error)
    }
  }

  return {
    get current() {
      return current
    },
    async take(order) {
      const isDead = current.connection.closed.aborted
      if (!recovery || (!isDead && !isReplacing)) return current
      const worker = new Promise<LoadedWorker>((resolve, reject) => waiting.push({ order, resolve, reject }))
      if (!isReplacing) void serveWaiting(recovery)
      return worker
    },
    switchBackend(from, reason) {
      if (!recovery) return false
      // Another generation has already switched the backend.
      if (current.connection !== from || lost.has(current.candidate)) return true
      if (recovery.candidates.length <= lost.size + 1) return false
      lost.add(current.candidate)
      from.terminate(reason)
      return true
    },
  }
}

interface Waiting {
  readonly order: number
  resolve(worker: LoadedWorker): void
  reject(reason: unknown): void
}
