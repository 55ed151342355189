/** While an answer streams, at most this much time of it is unsaved. */
const intervalMs = 400

/** Saves data that changes often. */
export interface Autosave {
  /** Reports a change. It is saved within the interval, or immediately when the page is hidden or closed. */
  touch(): void
  /** Saves pending changes now. */
  flush(): Promise<void>
  /** Saves pending changes and stops watching the page. */
  close(): Promise<void>
}

/** @param write must start its work synchronously: a page that is being closed may run no later task */
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
