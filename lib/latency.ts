import type { CountedTokens, ModelTimings } from './contract/worker-api.js'

/** The speed of a generation, in milliseconds and tokens per second, measured where the page reads the stream. */
export interface Latency {
  /** TTFT: from the call of `generate` until the reader has the first token. Undefined without a token. */
  readonly timeToFirstTokenMs: number | undefined
  /** ITL: the time between two tokens. Undefined with fewer than two tokens. */
  readonly interTokenLatencyMs: Percentiles | undefined
  /** The time in the engine's queue, in the worker. */
  readonly queueMs: number
  /** Prompt tokens per second during prefill, measured in the worker. Cached prompt tokens do not count. */
  readonly prefillTokensPerSecond: number | undefined
  /** Tokens per second from the first token to the last. Undefined with fewer than two tokens. */
  readonly decodeTokensPerSecond: number | undefined
  /** From the call of `generate` until the generation ends. */
  readonly totalMs: number
  /**
   * The times that the runtime or server measured itself: with `llamaCpp()`, and with `remote()` to llama.cpp's server.
   * The rest of `timeToFirstTokenMs`, without `prefillMs` and `queueMs`, is the network and the server's queue.
   * Undefined for a cancelled generation, and where the runtime or server does not report times.
   */
  readonly model: ModelTimings | undefined
}

export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** What the worker reports after prefill. */
interface PrefillFigures {
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  readonly queueMs: number
  readonly prefillMs: number
}

/** Collects the times of one generation, as `performance.now()` values of the page. */
export interface LatencyRecorder {
  addToken(): void
  setPrefill(figures: PrefillFigures): void
  /** Takes the counts that some runtimes report at the end. */
  setCounted(counted: CountedTokens): void
  /**
   * Returns the figures so far. Also adds the spans to the Performance timeline as `rivulet:*` measures, which are cleared
   * after every 200 generations. DevTools shows them in a separate track.
   * @param tokens how many tokens were streamed
   */
  finish(how: 'finished' | 'failed', tokens: number): Latency
}

const measures = {
  generation: 'rivulet:generation',
  firstToken: 'rivulet:time-to-first-token',
  decode: 'rivulet:decode',
} as const

const clearedAfter = 200
let generations = 0

/** A browser keeps every measure until it is cleared: the memory of a page that runs for days would grow. */
function forgetOldMeasures(): void {
  generations += 1
  if (generations % clearedAfter !== 0) return
  for (const name of Object.values(measures)) performance.clearMeasures(name)
}

/**
 * Returns a measure's `detail` that puts it into a DevTools track: generations above their first tokens and decoding.
 * https://developer.chrome.com/docs/devtools/performance/extension
 */
function showInDevTools(
  color: 'primary' | 'secondary' | 'tertiary' | 'error',
  figures: Readonly<Record<string, number | undefined>> = {},
) {
  const properties = Object.entries(figures).flatMap(([name, figure]) =>
    figure === undefined ? [] : [[name, String(Math.round(figure * 10) / 10)]],
  )
  return { devtools: { dataType: 'track-entry', track: 'rivulet', color, properties } }
}

export function recordLatency(): LatencyRecorder {
  const start = performance.now()
  const tokenTimes: number[] = []
  let prefill: PrefillFigures | undefined
  let model: ModelTimings | undefined
  return {
    addToken: () => tokenTimes.push(performance.now()),
    setPrefill: (figures) => (prefill = figures),
    setCounted({ timings, promptTokens, cachedPromptTokens }) {
      model = timings
      if (!prefill || !timings) return
      prefill = { ...prefill, promptTokens, cachedPromptTokens, prefillMs: timings.prefillMs }
    },
    finish(how, tokens) {
      const end = performance.now()
      const first = tokenTimes[0]
      const last = tokenTimes.at(-1)
      const latency = computeLatency({ start, end, tokenTimes, prefill, model })
      forgetOldMeasures()
      const detail = showInDevTools(how === 'failed' ? 'error' : 'primary', {
        tokens,
        'tokens per second': latency.decodeTokensPerSecond,
        'queue, ms': latency.queueMs,
      })
      performance.measure(measures.generation, { start, end, detail })
      if (first !== undefined) {
        performance.measure(measures.firstToken, { start, end: first, detail: showInDevTools('secondary') })
      }
      if (first !== undefined && last !== undefined && last > first) {
        performance.measure(measures.decode, { start: first, end: last, detail: showInDevTools('tertiary') })
      }
      return latency
    },
  }
}

interface Marks {
  readonly start: number
  readonly end: number
  readonly tokenTimes: readonly number[]
  readonly prefill: PrefillFigures | undefined
  readonly model?: ModelTimings | undefined
}

/** Computes the figures from the recorded times. */
export function computeLatency({ start, end, tokenTimes, prefill, model }: Marks): Latency {
  const first = tokenTimes[0]
  const gaps = tokenTimes.slice(1).map((time, index) => time - tokenTimes[index]!)
  const decodeMs = gaps.reduce((sum, gap) => sum + gap, 0)
  return {
    timeToFirstTokenMs: first === undefined ? undefined : first - start,
    interTokenLatencyMs: gaps.length === 0 ? undefined : computePercentiles(gaps),
    queueMs: prefill?.queueMs ?? 0,
    prefillTokensPerSecond:
      prefill && perSecond(prefill.promptTokens - prefill.cachedPromptTokens, prefill.prefillMs),
    decodeTokensPerSecond: perSecond(gaps.length, decodeMs),
    totalMs: end - start,
    model,
  }
}

function perSecond(tokens: number, ms: number): number | undefined {
  return tokens > 0 && ms > 0 ? (tokens * 1000) / ms : undefined
}

/** Nearest-rank percentiles of a non-empty list. */
function computePercentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (percent: number) => sorted[Math.ceil((percent / 100) * sorted.length) - 1]!
  return { p50: rank(50), p90: rank(90), p95: rank(95), p99: rank(99), max: sorted.at(-1)! }
}
