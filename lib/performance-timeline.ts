import type { EngineObserver, GenerationEnd, GenerationStart } from './observer.js'

const measures = {
  generation: 'rivulet:generation',
  firstToken: 'rivulet:time-to-first-token',
  decode: 'rivulet:decode',
} as const

/** The measures are cleared after every 200 generations, because a browser keeps each measure until a page clears it. */
const clearedAfter = 200
/** Counts the generations of all engines of the page, because clearing removes the measures of all engines. */
let generations = 0

/**
 * Returns an observer that writes each generation, its time to first token and its decoding into the Performance timeline,
 * as `rivulet:*` measures. The measures are cleared after every 200 generations. DevTools shows the measures in a track.
 * https://developer.chrome.com/docs/devtools/performance/extension
 */
export function writePerformanceTimeline(): EngineObserver {
  const starts = new Map<number, number>()

  return {
    onStart({ generation, startedAt }: GenerationStart) {
      starts.set(generation, startedAt)
    },
    onEnd({ generation, outcome }: GenerationEnd) {
      const start = starts.get(generation)
      starts.delete(generation)
      if (start === undefined) return
      clearOldMeasures()
      const isFailed = outcome.kind === 'failed'
      const { usage, latency } = isFailed ? outcome.figures : outcome.result
      const { timeToFirstTokenMs, decodeMs } = latency
      const detail = describeTrack(isFailed ? 'error' : 'primary', {
        tokens: usage.completionTokens,
        'tokens/s': latency.decodeTokensPerSecond,
        'queue, ms': latency.queueMs,
      })
      performance.measure(measures.generation, { start, end: start + latency.totalMs, detail })
      if (timeToFirstTokenMs === undefined) return
      const first = start + timeToFirstTokenMs
      performance.measure(measures.firstToken, { start, end: first, detail: describeTrack('secondary') })
      if (decodeMs === undefined) return
      const last = first + decodeMs
      performance.measure(measures.decode, { start: first, end: last, detail: describeTrack('tertiary') })
    },
  }
}

function clearOldMeasures(): void {
  generations += 1
  if (generations % clearedAfter !== 0) return
  for (const name of Object.values(measures)) performance.clearMeasures(name)
}

/** Returns the `detail` that puts a measure into a track of DevTools. */
function describeTrack(
  color: 'primary' | 'secondary' | 'tertiary' | 'error',
  figures: Readonly<Record<string, number | undefined>> = {},
) {
  const properties = Object.entries(figures).flatMap(([name, figure]) =>
    figure === undefined ? [] : [[name, String(Math.round(figure * 10) / 10)]],
  )
  return { devtools: { dataType: 'track-entry', track: 'rivulet', color, properties } }
}
