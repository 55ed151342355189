/** What `run` comes to, or the signal's reason when that comes first. */
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
