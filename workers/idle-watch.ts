/** Aborts a request whose connection is silent. */
export interface IdleWatch {
  /** Aborted when no data arrives in time, or when the outer signal is aborted. */
  readonly signal: AbortSignal
  /** Restarts the timeout. */
  touch(): void
  /** Stops the timeout while the reader processes the received data. */
  pause(): void
  /** Stops the timeout and aborts `signal`, which closes the connection if it is still open. */
  end(): void
}

/**
 * Starts the timeout for a connection.
 * @param createReason creates the abort reason after `timeoutMs` without a `touch`
 */
export function watchIdle(timeoutMs: number, outer: AbortSignal, createReason: () => Error): IdleWatch {
  const idle = new AbortController()
  const expire = () => idle.abort(createReason())
  let timer = setTimeout(expire, timeoutMs)
  const pause = () => clearTimeout(timer)
  return {
    signal: AbortSignal.any([outer, idle.signal]),
    touch() {
      pause()
      timer = setTimeout(expire, timeoutMs)
    },
    pause,
    end() {
      pause()
      idle.abort()
    },
  }
}
