import type { Channel, CountedTokens, ModelTimings } from './contract/worker-api.js'

/** The times and speeds of a generation. The page measures them where it reads the stream, unless stated otherwise. */
export interface Latency {
  /**
   * The time from the call of `generate` until the reader has the first token (TTFT), in any channel. Undefined without a
   * token.
   */
  readonly timeToFirstTokenMs: number | undefined
  /** The channel of the first token: a model can reason, or call a tool, before its text starts. */
  readonly firstTokenChannel: Channel | undefined
  /**
   * The time from the call of `generate` until the reader has the first token of the text. It equals `timeToFirstTokenMs` for
   * an answer without reasoning. Undefined without text.
   */
  readonly timeToFirstTextMs: number | undefined
  /**
   * The time between two consecutive tokens (ITL), in milliseconds; if a server sends several tokens in a chunk, the time
   * between two consecutive chunks. Undefined with fewer than two.
   */
  readonly interTokenLatencyMs: Percentiles | undefined
  /** The time that the request waited in the engine's queue, in the worker. */
  readonly queueMs: number
  /** Prompt tokens per second during prefill, measured in the worker. Cached prompt tokens are not counted. */
  readonly prefillTokensPerSecond: number | undefined
  /**
   * Tokens per second from the first token to the last. If a server sends several tokens in a chunk, its own token count is
   * used. Undefined with fewer than two tokens or chunks.
   */
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
  /**
   * Adds a token, or a chunk of several tokens, that the reader gets now.
   * @param channel undefined if it shows nothing yet: a mark, or text that is held back. It belongs to the channel that follows
   */
  addToken(channel: Channel | undefined): void
  setPrefill(figures: PrefillFigures): void
  /** Takes the token counts and times that some runtimes report at the end of a generation. */
  setCounted(counted: CountedTokens): void
  /**
   * Computes the latency from the times recorded so far.
   * @param streamedTokens how many tokens the recorded chunks contain
   */
  finish(streamedTokens: number): Latency
}

export function recordLatency(): LatencyRecorder {
  const start = performance.now()
  const tokenTimes: number[] = []
  let firstTokenChannel: Channel | undefined
  let firstTextTime: number | undefined
  /** The time of the first token since the last one that showed something. */
  let openTime: number | undefined
  let prefill: PrefillFigures | undefined
  let model: ModelTimings | undefined
  return {
    addToken(channel) {
      const now = performance.now()
      tokenTimes.push(now)
      if (channel === undefined) {
        openTime ??= now
        return
      }
      firstTokenChannel ??= channel
      if (channel === 'text') firstTextTime ??= openTime ?? now
      openTime = undefined
    },
    setPrefill: (figures) => (prefill = figures),
    setCounted({ timings, promptTokens, cachedPromptTokens }) {
      model = timings
      if (!prefill || !timings) return
      prefill = { ...prefill, promptTokens, cachedPromptTokens, prefillMs: timings.prefillMs }
    },
    finish: (streamedTokens) =>
      computeLatency({
        start,
        end: performance.now(),
        tokenTimes,
        streamedTokens,
        // An answer that ends before it shows something is text.
        firstTokenChannel: firstTokenChannel ?? (openTime === undefined ? undefined : 'text'),
        firstTextTime,
        prefill,
        model,
      }),
  }
}

interface Marks {
  readonly start: number
  readonly end: number
  /** When the reader got each chunk that has a token. */
  readonly tokenTimes: readonly number[]
  /** How many tokens these chunks contain. @default one for each chunk */
  readonly streamedTokens?: number
  readonly firstTokenChannel?: Channel | undefined
  /** When the reader got the first token of the text. */
  readonly firstTextTime?: number | undefined
  readonly prefill: PrefillFigures | undefined
  readonly model?: ModelTimings | undefined
}

/** Computes the latency from the recorded times. */
export function computeLatency(marks: Marks): Latency {
  const {
    start,
    end,
    tokenTimes,
    streamedTokens = tokenTimes.length,
    firstTokenChannel,
    firstTextTime,
    prefill,
    model,
  } = marks
  const first = tokenTimes[0]
  const gaps = tokenTimes.slice(1).map((time, index) => time - tokenTimes[index]!)
  const decodeMs = gaps.reduce((sum, gap) => sum + gap, 0)
  // Each chunk but the first adds its tokens during `decodeMs`. How many tokens the first one has is not known: the mean.
  const decodedTokens = gaps.length + ((streamedTokens - tokenTimes.length) * gaps.length) / tokenTimes.length
  return {
    timeToFirstTokenMs: first === undefined ? undefined : first - start,
    firstTokenChannel,
    timeToFirstTextMs: firstTextTime === undefined ? undefined : firstTextTime - start,
    interTokenLatencyMs: gaps.length === 0 ? undefined : computePercentiles(gaps),
    queueMs: prefill?.queueMs ?? 0,
    prefillTokensPerSecond:
      prefill && perSecond(prefill.promptTokens - prefill.cachedPromptTokens, prefill.prefillMs),
    decodeTokensPerSecond: perSecond(decodedTokens, decodeMs),
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
