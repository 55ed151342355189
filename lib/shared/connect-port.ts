import { wrap } from 'comlink'
import { installTransfers, settleBefore, type Connection } from '../connect-worker.js'
import { RivuletError } from '../contract/errors.js'
import { watchLifeLock } from '../contract/life-lock.js'
import { turnTaken, type WorkerApi } from '../contract/worker-api.js'

/** A worker of another page, or of this one, that other pages use too. */
export interface PortConnection extends Connection {
  /** Ends the connection, and leaves the worker as it is. */
  leave(reason: RivuletError): void
}

/**
 * Connects to a shared worker.
 * @param workerLock the life lock of the worker
 * @param depose called if the worker has to be replaced: it lost its GPU, or does not answer
 */
export function connectPort(port: MessagePort, workerLock: string, depose: () => void): PortConnection {
  installTransfers()
  const closing = new AbortController()
  const { signal: closed } = closing
  const leave = (reason: RivuletError) => {
    port.close()
    closing.abort(reason)
  }
  watchLifeLock(workerLock, closed, () => {
    leave(
      new RivuletError(
        'worker-failed',
        'The worker that holds the model stopped, or the tab that started it was closed.',
      ),
    )
  })
  const remote = wrap<WorkerApi>(port)
  return {
    call: (run) => settleBefore(closed, () => run(remote)),
    closed,
    leave,
    terminate(reason) {
      // This answer only has to wait for its next turn.
      if (reason.cause === turnTaken) return
      if (reason.code !== 'engine-disposed' && !closed.aborted) depose()
      leave(reason)
    },
  }
}
