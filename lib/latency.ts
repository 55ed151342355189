import type { CountedTokens, ModelTimings } from './contract/worker-api.js'

/** The times and speeds of a generation. The page measures them where it reads the stream, unless stated otherwise. */
export interface Latency {
  /** The time from the call of `generate` until the reader has the first token (TTFT). Undefined without a token. */
  readonly timeToFirstTokenMs: number | undefined
  /** The time between two consecutive tokens (ITL), in milliseconds. Undefined with fewer than two tokens. */
  readonly interTokenLatencyMs: Percentiles | undefined
  /** The time that the request waited in the engine's queue, in the worker. */
  readonly queueMs: number
  /** Prompt tokens per second during prefill, measured in the worker. Cached prompt tokens are not counted. */
  readonly prefillTokensPerSecond: number | undefined
  /** Tokens per second from the first token to the last. Undefined with fewer than two tokens. */
  readonly decodeTokensPerSecond: number | undefined
  /** The time from the first token to the last. Undefined with fewer than two tokens. */
  readonly decodeMs: number | undefined
  /** The time from the call of `generate` until the generation ends. */
  readonly totalMs: number
  /**
   * The times that the runtime or server measured itself. `llamaCpp()` reports them, and `remote()` does with llama.cpp's
   * server. With a server, `timeToFirstTokenMs` minus `model.prefillMs` and `queueMs` is the time of the network and of the
   * server's queue. Undefined for a cancelled generation, and if the runtime or server does not report times.
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

/** The numbers that the worker reports after prefill. */
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
  /** Takes the token counts and times that some runtimes report at the end of a generation. */
  setCounted(counted: CountedTokens): void
  /** Computes the latency from the times recorded so far. */
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

/** Computes the latency from the recorded times. */
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

/** Computes the nearest-rank percentiles of a non-empty list. */
function computePercentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (percent: number) => sorted[Math.ceil((percent / 100) * sorted.length) - 1]!
  return { p50: rank(50), p90: rank(90), p95: rank(95), p99: rank(99), max: sorted.at(-1)! }
}
