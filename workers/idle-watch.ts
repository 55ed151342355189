/** Ends what waits for a connection that brings nothing. */
export interface IdleWatch {
  /** Aborted when nothing came for too long, or when the outer signal is. */
  readonly signal: AbortSignal
  /** Begins to wait anew. */
  touch(): void
  /** Nobody waits: whoever reads is busy with what came. */
  pause(): void
  /** Ends the connection, if it still runs. */
  end(): void
}

/** @param createReason what the signal is aborted with, after `timeoutMs` without a `touch` */
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
