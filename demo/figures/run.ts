import type { FinishReason, GenerationResult, ModelInfo, TokenChunk } from 'rivulet'
import { rankGaps } from './rank-gaps.js'
import { watchReadAhead } from './watch-read-ahead.js'

/** The record of one answer. Plain data: it is stored in IndexedDB and exported unchanged. */
export interface Run {
  readonly id: string
  readonly prompt: string
  readonly model: RunModel
  /** When `generate` was called, in milliseconds since 1970. */
  readonly startedAt: number
  readonly outcome: RunOutcome
  readonly figures: RunFigures
  /** Milliseconds between consecutive tokens, measured where the page reads the stream. */
  readonly gapsMs: readonly number[]
}

/** The model that generated the answer. */
export interface RunModel extends Pick<ModelInfo, 'backend' | 'device' | 'deviceDescription' | 'dtype'> {
  /** The display name. */
  readonly name: string
}

/** @param name the display name */
export function describeModel(info: ModelInfo, name: string): RunModel {
  const { backend, device, deviceDescription, dtype } = info
  return { name, backend, device, deviceDescription, dtype }
}

export type RunOutcome =
  | { readonly kind: 'finished'; readonly finishReason: FinishReason }
  | { readonly kind: 'failed'; readonly code: string }

/** A figure that is unknown, or not known yet, is undefined. */
export interface RunFigures {
  readonly timeToFirstTokenMs: number | undefined
  readonly tokensPerSecond: number | undefined
  readonly interTokenP50Ms: number | undefined
  readonly interTokenP95Ms: number | undefined
  readonly interTokenP99Ms: number | undefined
  readonly prefillTokensPerSecond: number | undefined
  readonly queueMs: number | undefined
  readonly promptTokens: number | undefined
  readonly cachedTokens: number | undefined
  readonly recoveries: number | undefined
  readonly readAhead: number
  readonly totalMs: number
  readonly tokens: number
}

/** The state of a run so far. */
export interface LiveRun {
  readonly isRunning: boolean
  readonly figures: RunFigures
  /** Grows during the run. */
  readonly gapsMs: readonly number[]
}

/** How a stream ended. */
export type RunEnding =
  | { readonly kind: 'finished'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly code: string }

/** Records a run while its stream is read. Times are `performance.now()` values. */
export interface RunRecorder {
  addChunk(chunk: Pick<TokenChunk, 'tokenCount'>, nowMs: number): void
  read(nowMs: number): LiveRun
  /** Replaces the figures measured here with the library's, if the stream finished. */
  finish(ending: RunEnding, nowMs: number): Run
}

/** @param model the model that is loaded when the run starts */
export function recordRun(prompt: string, model: RunModel, startMs: number): RunRecorder {
  const startedAt = performance.timeOrigin + startMs
  const gapsMs: number[] = []
  const rankedGaps = rankGaps()
  const readAhead = watchReadAhead()
  let firstMs: number | undefined
  let lastMs = startMs
  let tokens = 0

  function measure(nowMs: number): RunFigures {
    const decodeMs = firstMs === undefined ? 0 : lastMs - firstMs
    return {
      timeToFirstTokenMs: firstMs === undefined ? undefined : firstMs - startMs,
      tokensPerSecond: decodeMs > 0 ? (gapsMs.length * 1000) / decodeMs : undefined,
      interTokenP50Ms: rankedGaps.find(50),
      interTokenP95Ms: rankedGaps.find(95),
      interTokenP99Ms: rankedGaps.find(99),
      prefillTokensPerSecond: undefined,
      queueMs: undefined,
      promptTokens: undefined,
      cachedTokens: undefined,
      recoveries: undefined,
      readAhead: readAhead.max,
      totalMs: nowMs - startMs,
      tokens,
    }
  }

  return {
    addChunk({ tokenCount }, nowMs) {
      readAhead.addChunk()
      if (tokenCount === 0) return
      tokens += tokenCount
      if (firstMs === undefined) firstMs = nowMs
      else {
        gapsMs.push(nowMs - lastMs)
        rankedGaps.add(nowMs - lastMs)
      }
      lastMs = nowMs
    },
    read: (nowMs) => ({ isRunning: true, figures: measure(nowMs), gapsMs }),
    finish(ending, nowMs) {
      const measured = measure(nowMs)
      const shared = { id: createId(), prompt, model, startedAt, gapsMs }
      if (ending.kind === 'failed') return { ...shared, outcome: ending, figures: measured }
      const { result } = ending
      return {
        ...shared,
        outcome: { kind: 'finished', finishReason: result.finishReason },
        figures: { ...measured, ...readResult(result) },
      }
    },
  }
}

function readResult({ latency, usage, recoveries }: GenerationResult): Omit<RunFigures, 'readAhead'> {
  return {
    timeToFirstTokenMs: latency.timeToFirstTokenMs,
    tokensPerSecond: latency.decodeTokensPerSecond,
    interTokenP50Ms: latency.interTokenLatencyMs?.p50,
    interTokenP95Ms: latency.interTokenLatencyMs?.p95,
    interTokenP99Ms: latency.interTokenLatencyMs?.p99,
    prefillTokensPerSecond: latency.prefillTokensPerSecond,
    queueMs: latency.queueMs,
    promptTokens: usage.promptTokens,
    cachedTokens: usage.cachedPromptTokens,
    recoveries,
    totalMs: latency.totalMs,
    tokens: usage.completionTokens,
  }
}

/** A random ID. `crypto.randomUUID` exists only in secure contexts. */
function createId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
