/**
 * Returns the items of `source`, on demand. If no item is requested for `idleMs`, the rest is read without a demand and kept:
 * then a reader that has gone does not hold its source for ever.
 */
export function readAheadWhenIdle<T>(
  source: AsyncIterator<T, undefined>,
  idleMs: number,
): { next(): Promise<IteratorResult<T, undefined>>; stop(): void } {
  const kept: Promise<IteratorResult<T, undefined>>[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  let isStopped = false

  async function readRest(): Promise<void> {
    while (!isStopped) {
      const read = source.next()
      // The one who requests the item gets its error.
      read.catch(() => {})
      kept.push(read)
      const isOver = await read.then(
        ({ done }) => done,
        () => true,
      )
      if (isOver) return
    }
  }

  return {
    async next() {
      clearTimeout(timer)
      try {
        return await (kept.shift() ?? source.next())
      } finally {
        if (!isStopped && kept.length === 0) timer = setTimeout(() => void readRest(), idleMs)
      }
    },
    stop() {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
