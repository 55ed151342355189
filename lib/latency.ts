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
  /** From the first token to the last. Undefined with fewer than two tokens. */
  readonly decodeMs: number | undefined
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
  /** The figures up to now. */
  finish(): Latency
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
    finish: () => computeLatency({ start, end: performance.now(), tokenTimes, prefill, model }),
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
    decodeMs: gaps.length === 0 ? undefined : decodeMs,
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
