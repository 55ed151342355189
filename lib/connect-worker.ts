import { wrap, type Remote } from 'comlink'
import { installErrorTransfer } from './contract/error-transfer.js'
import { RivuletError } from './contract/errors.js'
import { watchLifeLock } from './contract/life-lock.js'
import { installStreamTransfer } from './contract/stream-transfer.js'
import type { WorkerApi } from './contract/worker-api.js'

/** A worker that can be called, and word of its death. */
export interface WorkerConnection {
  /**
   * Calls a method of the worker. Settles also when the worker is dead, which a bare Comlink call does not (comlink#601).
   * @throws RivuletError what the worker threw, or the reason of `closed`
   */
  call<T>(run: (worker: Remote<WorkerApi>) => Promise<T>): Promise<T>
  /** Aborted when the worker is gone; its reason is the `RivuletError` that says why. */
  readonly closed: AbortSignal
  /** Notices a death of which the worker's events tell nothing: the lock, which the worker holds, then becomes free. */
  watchLifeLock(name: string): void
  /** Ends the worker. Whatever is still pending fails with `reason`. */
  terminate(reason: RivuletError): void
}

let areTransfersInstalled = false

/** The only place that talks to a `Worker` object; everything behind it needs just a message port. */
export function connectWorker(worker: Worker): WorkerConnection {
  if (!areTransfersInstalled) {
    installErrorTransfer()
    installStreamTransfer()
    areTransfersInstalled = true
  }
  const closing = new AbortController()
  const terminate = (reason: RivuletError) => {
    worker.terminate()
    closing.abort(reason)
  }
  worker.addEventListener('error', (event) => {
    event.preventDefault()
    const what = event.message
      ? `The worker failed: ${event.message}`
      : "The worker could not be loaded: see that its script is served, or name it in the backend's option `worker`, and that the page's CSP allows it (worker-src)."
    terminate(new RivuletError('worker-failed', what, { cause: event.error ?? undefined }))
  })
  worker.addEventListener('messageerror', () => {
    terminate(new RivuletError('worker-failed', 'A message of the worker could not be read.'))
  })
  const remote = wrap<WorkerApi>(worker)
  return {
    call: (run) => settleBefore(closing.signal, () => run(remote)),
    closed: closing.signal,
    watchLifeLock(name) {
      watchLifeLock(name, closing.signal, () => {
        terminate(new RivuletError('worker-failed', 'The worker ended without a word.'))
      })
    },
    terminate,
  }
}

/** The call's outcome, or the signal's reason when that comes first. */
function settleBefore<T>(closed: AbortSignal, call: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(closed.reason)
    if (closed.aborted) return fail()
    closed.addEventListener('abort', fail, { once: true })
    call()
      .then(resolve, reject)
      .finally(() => closed.removeEventListener('abort', fail))
  })
}
