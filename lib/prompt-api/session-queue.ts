/** Runs the operations of a session one after the other. */
export interface SessionQueue {
  /**
   * Runs an operation after those before it. Rejects with the reason of a signal as soon as it aborts, also while the operation
   * waits; the operation then does not start, or ends.
   */
  run<Result>(
    operation: (signal: AbortSignal) => Promise<Result>,
    signals: readonly (AbortSignal | undefined)[],
  ): Promise<Result>
}

/** @param onEnter called when an operation enters the queue */
export function createSessionQueue(onEnter: () => void): SessionQueue {
  let last: Promise<unknown> = Promise.resolve()

  return {
    run(operation, signals) {
      const stopping = new AbortController()
      const settled = new AbortController()
      const aborted = new Promise<never>((_, reject) => {
        for (const signal of signals) {
          const stop = () => {
            stopping.abort(signal?.reason)
            reject(signal?.reason)
          }
          if (signal?.aborted) stop()
          signal?.addEventListener('abort', stop, { signal: settled.signal })
        }
      })
      aborted.catch(() => {})
      onEnter()
      const running = last.then(() => {
        stopping.signal.throwIfAborted()
        return operation(stopping.signal)
      })
      last = running.catch(() => {})
      return Promise.race([running, aborted]).finally(() => settled.abort())
    },
  }
}
