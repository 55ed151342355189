/** How fast the lab's reader takes chunks. */
export interface ReadingPace {
  /** Undefined is as fast as they come. */
  set(chunksPerSecond: number | undefined): void
  /** Resolves when the next chunk may be read. A hidden tab's timers are slowed, so it reads as fast as chunks come. */
  waitForTurn(): Promise<void>
}

/** @param pace chunks a second, at first */
export function paceReading(pace: number | undefined): ReadingPace {
  let wake = () => {}
  document.addEventListener('visibilitychange', () => wake())
  return {
    set(chunksPerSecond) {
      pace = chunksPerSecond
      wake()
    },
    async waitForTurn() {
      if (pace === undefined || document.hidden) return
      const waitMs = 1000 / pace
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
