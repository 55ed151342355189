/** Keeps gaps sorted, so that reading a long answer's percentiles on each frame needs no sorting. */
export interface RankedGaps {
  add(gapMs: number): void
  /** The nearest-rank percentile, as the library computes it; undefined if there are no gaps. */
  find(percent: number): number | undefined
}

export function rankGaps(): RankedGaps {
  const sorted: number[] = []
  return {
    add(gapMs) {
      let low = 0
      let high = sorted.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if (sorted[middle]! < gapMs) low = middle + 1
        else high = middle
      }
      sorted.splice(low, 0, gapMs)
    },
    find: (percent) => sorted[Math.ceil((percent / 100) * sorted.length) - 1],
  }
}
