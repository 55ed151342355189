import type { FinishReason, GenerationResult, ModelInfo, TokenChunk } from 'rivulet'
import { rankGaps } from './rank-gaps.js'
import { watchReadAhead } from './watch-read-ahead.js'

/** The record of one answer. Plain data: it is kept in IndexedDB and exported as it is. */
export interface Run {
  readonly id: string
  readonly prompt: string
  readonly model: RunModel
  /** Of the call of `generate`, in milliseconds since 1970. */
  readonly startedAt: number
  readonly outcome: RunOutcome
  readonly figures: RunFigures
  /** Between one token and the next, in milliseconds, as the page's reader saw them. */
  readonly gapsMs: readonly number[]
}

/** What wrote the answer. */
export interface RunModel extends Pick<ModelInfo, 'backend' | 'device' | 'deviceDescription' | 'dtype'> {
  /** As people call it. */
  readonly name: string
}

/** @param name as people call it */
export function describeModel(info: ModelInfo, name: string): RunModel {
  const { backend, device, deviceDescription, dtype } = info
  return { name, backend, device, deviceDescription, dtype }
}

export type RunOutcome =
  | { readonly kind: 'finished'; readonly finishReason: FinishReason }
  | { readonly kind: 'failed'; readonly code: string }

/** A figure that there is none of, or none yet, is undefined. */
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

/** A run as far as it has come. */
export interface LiveRun {
  readonly isRunning: boolean
  readonly figures: RunFigures
  /** Grows with the run. */
  readonly gapsMs: readonly number[]
}

/** How a stream ended, as its reader learns it. */
export type RunEnding =
  | { readonly kind: 'finished'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly code: string }

/** Fills a run while its stream is read. Times are `performance.now()` values. */
export interface RunRecorder {
  addChunk(chunk: Pick<TokenChunk, 'tokenCount'>, nowMs: number): void
  look(nowMs: number): LiveRun
  /** The library's own figures take the place of those that were counted here, where there are some. */
  finish(ending: RunEnding, nowMs: number): Run
}

/** @param model as it is loaded when the run begins */
export function recordRun(prompt: string, model: RunModel, startMs: number): RunRecorder {
  const startedAt = performance.timeOrigin + startMs
  const gapsMs: number[] = []
  const ranks = rankGaps()
  const readAhead = watchReadAhead()
  let firstMs: number | undefined
  let lastMs = startMs
  let tokens = 0

  function count(nowMs: number): RunFigures {
    const decodeMs = firstMs === undefined ? 0 : lastMs - firstMs
    return {
      timeToFirstTokenMs: firstMs === undefined ? undefined : firstMs - startMs,
      tokensPerSecond: decodeMs > 0 ? (gapsMs.length * 1000) / decodeMs : undefined,
      interTokenP50Ms: ranks.find(50),
      interTokenP95Ms: ranks.find(95),
      interTokenP99Ms: ranks.find(99),
      prefillTokensPerSecond: undefined,
      queueMs: undefined,
      promptTokens: undefined,
      cachedTokens: undefined,
      recoveries: undefined,
      readAhead: readAhead.most,
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
        ranks.add(nowMs - lastMs)
      }
      lastMs = nowMs
    },
    look: (nowMs) => ({ isRunning: true, figures: count(nowMs), gapsMs }),
    finish(ending, nowMs) {
      const counted = count(nowMs)
      const about = { id: drawId(), prompt, model, startedAt, gapsMs }
      if (ending.kind === 'failed') return { ...about, outcome: ending, figures: counted }
      const { result } = ending
      return {
        ...about,
        outcome: { kind: 'finished', finishReason: result.finishReason },
        figures: { ...counted, ...readResult(result) },
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

/** `crypto.randomUUID` is for secure pages alone. */
function drawId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
