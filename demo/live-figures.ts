import type { Latency } from 'rivulet'

/** What the readouts show; a figure that there is none of yet is undefined. */
export interface Figures {
  readonly timeToFirstTokenMs: number | undefined
  readonly tokensPerSecond: number | undefined
  readonly tokens: number
  readonly interTokenP50Ms: number | undefined
  readonly interTokenP95Ms: number | undefined
  readonly totalMs: number
}

/** Counts a running stream's tokens as they reach the page. Times are `performance.now()` values. */
export interface LiveFigures {
  addTokens(nowMs: number, count: number): void
  /** Of the tokens, from the first to the last. */
  readonly gapsMs: readonly number[]
  compute(nowMs: number): Figures
}

export function countLive(startMs: number): LiveFigures {
  const gapsMs: number[] = []
  let first: number | undefined
  let last = startMs
  let tokens = 0
  return {
    gapsMs,
    addTokens(nowMs, count) {
      tokens += count
      if (first === undefined) first = nowMs
      else gapsMs.push(nowMs - last)
      last = nowMs
    },
    compute(nowMs) {
      const sorted = gapsMs.toSorted((a, b) => a - b)
      const rank = (percent: number) => sorted[Math.ceil((percent / 100) * sorted.length) - 1]
      const decodeMs = first === undefined ? 0 : last - first
      return {
        timeToFirstTokenMs: first === undefined ? undefined : first - startMs,
        tokensPerSecond: decodeMs > 0 ? ((tokens - 1) * 1000) / decodeMs : undefined,
        tokens,
        interTokenP50Ms: rank(50),
        interTokenP95Ms: rank(95),
        totalMs: nowMs - startMs,
      }
    },
  }
}

/** The library's own figures of a generation that is over. */
export function toFigures(latency: Latency, tokens: number): Figures {
  return {
    timeToFirstTokenMs: latency.timeToFirstTokenMs,
    tokensPerSecond: latency.decodeTokensPerSecond,
    tokens,
    interTokenP50Ms: latency.interTokenLatencyMs?.p50,
    interTokenP95Ms: latency.interTokenLatencyMs?.p95,
    totalMs: latency.totalMs,
  }
}
