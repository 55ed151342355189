/** Limits how fast the lab reads chunks. */
export interface ReadPacer {
  /** @param chunksPerSecond undefined for no limit */
  set(chunksPerSecond: number | undefined): void
  /** Resolves when the next chunk may be read. There is no limit in a hidden tab, because browsers throttle its timers. */
  waitForTurn(): Promise<void>
}

/** @param limit the initial limit in chunks per second; undefined for no limit */
export function createReadPacer(limit: number | undefined): ReadPacer {
  let wake = () => {}
  document.addEventListener('visibilitychange', () => wake())
  return {
    set(chunksPerSecond) {
      limit = chunksPerSecond
      wake()
    },
    async waitForTurn() {
      if (limit === undefined || document.hidden) return
      const waitMs = 1000 / limit
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    },
  }
}
