import { wrap, type Remote } from 'comlink'
import { installErrorTransfer } from './contract/error-transfer.js'
import { RivuletError } from './contract/errors.js'
import { watchLifeLock } from './contract/life-lock.js'
import { installStreamTransfer } from './contract/stream-transfer.js'
import type { WorkerApi } from './contract/worker-api.js'
import type { OpenedWorker } from './open-worker.js'
import { settleBefore } from './settle-before.js'

/** A worker that can be called. */
export interface WorkerConnection extends Omit<OpenedWorker, 'worker'> {
  /**
   * Calls a method of the worker. Settles also when the worker is dead, which a bare Comlink call does not (comlink#601).
   * @throws RivuletError what the worker threw, or the reason of `closed`
   */
  call<T>(run: (worker: Remote<WorkerApi>) => Promise<T>): Promise<T>
  /** Notices a death of which the worker's events tell nothing: the lock, which the worker holds, then becomes free. */
  watchLifeLock(name: string): void
}

let areTransfersInstalled = false

/** The only place that calls a `Worker`; everything behind it needs just a message port. */
export function connectWorker({ worker, closed, terminate }: OpenedWorker): WorkerConnection {
  if (!areTransfersInstalled) {
    installErrorTransfer()
    installStreamTransfer()
    areTransfersInstalled = true
  }
  const remote = wrap<WorkerApi>(worker)
  return {
    call: (run) => settleBefore(closed, () => run(remote)),
    closed,
    watchLifeLock(name) {
      watchLifeLock(name, closed, () => {
        terminate(new RivuletError('worker-failed', 'The worker ended without a word.'))
      })
    },
    terminate,
  }
}
