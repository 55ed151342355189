import type { WorkerConnection } from './connect-worker.js'
import { probeDevices } from './contract/devices.js'
import type { RivuletError } from './contract/errors.js'
import type { ModelInfo } from './contract/worker-api.js'

/** A worker whose model is loaded. */
export interface LoadedWorker {
  readonly connection: WorkerConnection
  readonly info: ModelInfo
}

/** How a worker is replaced. */
export interface Recovery {
  /** Starts another one and loads the model. */
  start(signal: AbortSignal): Promise<LoadedWorker>
  /** Called before that, with what befell the last one. */
  readonly onRecovery: ((reason: RivuletError) => void) | undefined
}

/** A loaded worker that is replaced when it is needed and dead. */
export interface KeptWorker {
  /** The newest one, dead or alive. */
  readonly current: LoadedWorker
  /**
   * The newest worker, and where that is dead another one. Those who wait for it get it in the order of their numbers.
   * @throws RivuletError what loading it failed with; the next call tries again
   */
  take(order: number): Promise<WorkerConnection>
}

/** After its process has crashed, a browser takes a moment before it gives adapters again. */
const gpuReturnMs = 3000
const gpuPollMs = 100

/**
 * @param recovery without it a dead worker stays
 * @param signal ends a replacement
 */
export function keepWorker(
  first: LoadedWorker,
  recovery: Recovery | undefined,
  signal: AbortSignal,
): KeptWorker {
  const waiting: Waiting[] = []
  let current = first
  let isReplacing = false

  async function replace({ start, onRecovery }: Recovery): Promise<void> {
    onRecovery?.(current.connection.closed.reason as RivuletError)
    if (current.info.device === 'webgpu') await waitForGpu(signal)
    signal.throwIfAborted()
    const next = await start(signal)
    if (signal.aborted) next.connection.terminate(signal.reason as RivuletError)
    current = next
  }

  async function serveWaiting(how: Recovery): Promise<void> {
    isReplacing = true
    const outcome = await replace(how).then(
      () => ({ kind: 'replaced' }) as const,
      (error: unknown) => ({ kind: 'failed', error }) as const,
    )
    isReplacing = false
    for (const { resolve, reject } of waiting.splice(0).toSorted((a, b) => a.order - b.order)) {
      if (outcome.kind === 'replaced') resolve(current.connection)
      else reject(outcome.error)
    }
  }

  return {
    get current() {
      return current
    },
    async take(order) {
      const isDead = current.connection.closed.aborted
      if (!recovery || (!isDead && !isReplacing)) return current.connection
      const worker = new Promise<WorkerConnection>((resolve, reject) =>
        waiting.push({ order, resolve, reject }),
      )
      if (!isReplacing) void serveWaiting(recovery)
      return worker
    },
  }
}

interface Waiting {
  readonly order: number
  resolve(connection: WorkerConnection): void
  reject(reason: unknown): void
}

/** Resolves when there is an adapter again, or there will hardly be one. */
async function waitForGpu(signal: AbortSignal): Promise<void> {
  const end = performance.now() + gpuReturnMs
  while (!signal.aborted && performance.now() < end) {
    if ('adapter' in (await probeDevices()).webgpu) return
    await new Promise((resolve) => setTimeout(resolve, gpuPollMs))
  }
}
