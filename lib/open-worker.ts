import { RivuletError } from './contract/errors.js'

/** A worker that has been started, and word of its death. */
export interface OpenedWorker {
  readonly worker: Worker
  /** Aborted when the worker is gone; its reason is the `RivuletError` that says why. */
  readonly closed: AbortSignal
  /** Ends the worker. Whatever is still pending fails with `reason`. */
  terminate(reason: RivuletError): void
}

/** Listens to a worker from its start on: it can fail before there is anybody to talk to it. */
export function openWorker(worker: Worker): OpenedWorker {
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
  return { worker, closed: closing.signal, terminate }
}
