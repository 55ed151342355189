import type { CountedTokens, ModelTimings } from './contract/worker-api.js'

/** How fast a generation was, in milliseconds and tokens a second, as the page's reader saw it. */
export interface Latency {
  /** From the call of `generate` to the first token in the reader's hands. Undefined without a token. */
  readonly timeToFirstTokenMs: number | undefined
  /** Between one token and the next. Undefined with fewer than two tokens. */
  readonly interTokenLatencyMs: Percentiles | undefined
  /** Waiting in the engine's queue, in the worker. */
  readonly queueMs: number
  /** Prompt tokens a second while the prompt was computed, in the worker; tokens that were cached do not count. */
  readonly prefillTokensPerSecond: number | undefined
  /** Tokens a second from the first token to the last. Undefined with fewer than two tokens. */
  readonly decodeTokensPerSecond: number | undefined
  /** From the call of `generate` to its end. */
  readonly totalMs: number
  /**
   * How long the model took by the clock of its runtime or its server, where that tells: `llamaCpp()`, and `remote()` with
   * llama.cpp's server. What `timeToFirstTokenMs` is longer than `prefillMs` and `queueMs` is the way: the network, and
   * the server's own queue. Undefined for a generation that was cancelled.
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

/** What the worker tells of a generation when its prompt is computed. */
interface PrefillFigures {
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  readonly queueMs: number
  readonly prefillMs: number
}

/** Collects the marks of one generation. Times are `performance.now()` values of the page. */
export interface LatencyRecorder {
  addToken(): void
  setPrefill(figures: PrefillFigures): void
  /** What a runtime that counts by itself tells at the end. */
  setCounted(counted: CountedTokens): void
  /**
   * The figures up to now; also puts the spans into the Performance timeline as `rivulet:*` measures, which are cleared
   * after every 200 generations. DevTools shows them in a track of their own.
   * @param tokens streamed
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

/** A browser keeps every measure until it is told otherwise: a page that runs for days would only grow. */
function forgetOldMeasures(): void {
  generations += 1
  if (generations % clearedAfter !== 0) return
  for (const name of Object.values(measures)) performance.clearMeasures(name)
}

/**
 * A measure's `detail` that puts it into a track: generations above their first tokens and their decoding.
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
        'tokens a second': latency.decodeTokensPerSecond,
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

/** Marks → figures. */
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
