import { wrap, type Endpoint, type Remote } from 'comlink'
import { installErrorTransfer } from './contract/error-transfer.js'
import { RivuletError } from './contract/errors.js'
import { watchLifeLock } from './contract/life-lock.js'
import { installStreamTransfer } from './contract/stream-transfer.js'
import type { ClientIntroduction, WorkerApi } from './contract/worker-api.js'

/** A worker that can be called. */
export interface Connection {
  /**
   * Calls a method of the worker. The promise also settles if the worker is dead; a plain Comlink call would never settle
   * (comlink#601).
   * @throws RivuletError the worker's error, or the reason of `closed`
   */
  call<T>(run: (worker: Remote<WorkerApi>) => Promise<T>): Promise<T>
  /** Aborted when the worker is dead; the reason is a `RivuletError`. */
  readonly closed: AbortSignal
  /** Terminates the worker. All pending calls and streams fail with `reason`. */
  terminate(reason: RivuletError): void
}

/** A worker of this page. */
export interface WorkerConnection extends Connection {
  /** Returns true if the worker's script could not be loaded. */
  isScriptMissing(): boolean
  /** Terminates a worker whose lock `name` becomes free: that worker died, possibly without an event on the page. */
  watchLifeLock(name: string): void
  /** Passes the worker a port of another engine, which then calls the worker. */
  addClient(introduction: ClientIntroduction, port: MessagePort): void
}

let areTransfersInstalled = false

/** Prepares this thread for its first call. */
export function installTransfers(): void {
  if (areTransfersInstalled) return
  installErrorTransfer()
  installStreamTransfer()
  areTransfersInstalled = true
}

/**
 * Connects to a worker and watches it for failures. Only this function uses a `Worker`; all other code needs only a message
 * port.
 */
export function connectWorker(worker: Worker): WorkerConnection {
  installTransfers()
  const closing = new AbortController()
  const { signal: closed } = closing
  const { endpoint, disconnect } = createEndpoint(worker)
  const terminate = (reason: RivuletError) => {
    worker.terminate()
    disconnect()
    closing.abort(reason)
  }
  let isScriptMissing = false
  worker.addEventListener('error', (event) => {
    event.preventDefault()
    // A script that runs has errors with a message.
    isScriptMissing = !event.message
    const message = event.message
      ? `The worker failed: ${event.message}`
      : "The worker could not be loaded. Check that its script is served (or pass the backend's option `worker`) and that the page's CSP allows it (worker-src)."
    terminate(new RivuletError('worker-failed', message, { cause: event.error ?? undefined }))
  })
  worker.addEventListener('messageerror', () => {
    terminate(new RivuletError('worker-failed', 'A message from the worker could not be deserialized.'))
  })
  const remote = wrap<WorkerApi>(endpoint)
  return {
    call: (run) => settleBefore(closed, () => run(remote)),
    closed,
    isScriptMissing: () => isScriptMissing,
    watchLifeLock(name) {
      watchLifeLock(name, closed, () => {
        terminate(
          new RivuletError(
            'worker-failed',
            'The worker stopped without giving a reason, perhaps because memory ran out. Retry, or use a smaller model.',
          ),
        )
      })
    },
    addClient: (introduction, port) => worker.postMessage(introduction, [port]),
    terminate,
  }
}

/**
 * Creates an endpoint that can be separated from its worker. Comlink 4.4.2 keeps the endpoint of each proxy in a global
 * registry until the proxy is garbage (`proxyFinalizers`). The listeners of a worker lead back to the proxy, so a worker as
 * the endpoint would never become garbage.
 */
function createEndpoint(worker: Endpoint): { readonly endpoint: Endpoint; disconnect(): void } {
  let target: Endpoint | undefined = worker
  return {
    endpoint: {
      start: () => target?.start?.(),
      postMessage: (message, transfer) => target?.postMessage(message, transfer ?? []),
      addEventListener: (type, listener, options) => target?.addEventListener(type, listener, options),
      removeEventListener: (type, listener, options) => target?.removeEventListener(type, listener, options),
    },
    disconnect() {
      target = undefined
    },
  }
}

/** Calls `run` and settles like its promise. If `closed` aborts first, rejects with the reason of `closed`. */
export function settleBefore<T>(closed: AbortSignal, run: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(closed.reason)
    if (closed.aborted) return fail()
    closed.addEventListener('abort', fail, { once: true })
    run()
      .then(resolve, reject)
      .finally(() => closed.removeEventListener('abort', fail))
  })
}
