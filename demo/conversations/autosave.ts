/** While an answer streams, at most this much of it is not kept yet. */
const intervalMs = 400

/** Keeps something that changes all the time. */
export interface Autosave {
  /** It has changed: it is written within the interval, or at once where the page may be about to go. */
  touch(): void
  /** Writes what is not written yet, and watches no longer. */
  close(): Promise<void>
}

/** @param write must begin at once: a page that is being closed gets no second turn */
export function createAutosave(write: () => Promise<void>): Autosave {
  const listening = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let writing: Promise<void> | undefined

  function flush(): void {
    if (timer === undefined) return
    clearTimeout(timer)
    timer = undefined
    writing = write()
  }

  const { signal } = listening
  addEventListener('pagehide', flush, { signal })
  document.addEventListener('visibilitychange', () => document.hidden && flush(), { signal })
  return {
    touch() {
      timer ??= setTimeout(flush, intervalMs)
    },
    async close() {
      listening.abort()
      flush()
      await writing
    },
  }
}
