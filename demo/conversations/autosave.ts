/** While an answer streams, at most this much of it is not kept yet. */
const intervalMs = 400

/** Keeps something that changes all the time. */
export interface Autosave {
  /** It has changed: it is written within the interval, or at once where the page may be about to go. */
  touch(): void
  /** Writes what is not written yet. */
  flush(): Promise<void>
  /** The same, and watches no longer. */
  close(): Promise<void>
}

/** @param write must begin at once: a page that is being closed gets no second turn */
export function createAutosave(write: () => Promise<void>): Autosave {
  const listening = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let writing = Promise.resolve()

  function flush(): Promise<void> {
    if (timer === undefined) return writing
    clearTimeout(timer)
    timer = undefined
    writing = write()
    return writing
  }

  const { signal } = listening
  addEventListener('pagehide', () => void flush(), { signal })
  document.addEventListener('visibilitychange', () => document.hidden && void flush(), { signal })
  return {
    touch() {
      timer ??= setTimeout(() => void flush(), intervalMs)
    },
    flush,
    close() {
      listening.abort()
      return flush()
    },
  }
}
