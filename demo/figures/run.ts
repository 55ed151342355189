import type { FinishReason, GenerationOutcome, GenerationResult, ModelInfo, ObservedChunk } from 'rivulet'
import { nameModel } from '../model-choice.js'
import { rankGaps } from './rank-gaps.js'

/** The record of one answer. Plain data: it is stored in IndexedDB and exported unchanged. */
export interface Run {
  readonly id: string
  readonly prompt: string
  readonly model: RunModel
  /** When `generate` was called, in milliseconds since 1970. */
  readonly startedAt: number
  readonly outcome: RunOutcome
  readonly figures: RunFigures
  /** Milliseconds between consecutive tokens, measured where the page reads them. */
  readonly gapsMs: readonly number[]
}

/** The model that generated the answer. */
export interface RunModel extends Pick<ModelInfo, 'backend' | 'device' | 'deviceDescription' | 'dtype'> {
  /** The display name. */
  readonly name: string
}

export function describeModel(info: ModelInfo): RunModel {
  const { model, backend, device, deviceDescription, dtype } = info
  return { name: nameModel(model), backend, device, deviceDescription, dtype }
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

/** Records a run from the reports of an `EngineObserver`. */
export interface RunRecorder {
  addChunk(observed: RecordedChunk): void
  /** @param now a `performance.now()` value */
  read(now: number): LiveRun
  /** Replaces the figures measured here with the library's. */
  finish(outcome: GenerationOutcome): Run
}

type RecordedChunk = Pick<ObservedChunk, 'readMs' | 'unreadChunks' | 'recoveries'> & {
  readonly chunk: Pick<ObservedChunk['chunk'], 'tokenCount'>
}

/**
 * @param model the model that is loaded when the run starts
 * @param startedAt a `performance.now()` value
 */
export function recordRun(prompt: string, model: RunModel, startedAt: number): RunRecorder {
  const gapsMs: number[] = []
  const rankedGaps = rankGaps()
  let firstMs: number | undefined
  let lastMs = 0
  let tokens = 0
  let readAhead = 0
  let recoveries: number | undefined

  function measure(totalMs: number): RunFigures {
    const decodeMs = firstMs === undefined ? 0 : lastMs - firstMs
    return {
      timeToFirstTokenMs: firstMs,
      tokensPerSecond: decodeMs > 0 ? (gapsMs.length * 1000) / decodeMs : undefined,
      interTokenP50Ms: rankedGaps.find(50),
      interTokenP95Ms: rankedGaps.find(95),
      interTokenP99Ms: rankedGaps.find(99),
      prefillTokensPerSecond: undefined,
      queueMs: undefined,
      promptTokens: undefined,
      cachedTokens: undefined,
      recoveries,
      readAhead,
      totalMs,
      tokens,
    }
  }

  return {
    addChunk({ chunk, readMs, unreadChunks, ...observed }) {
      readAhead = Math.max(readAhead, unreadChunks)
      recoveries = observed.recoveries
      if (chunk.tokenCount === 0) return
      tokens += chunk.tokenCount
      if (firstMs === undefined) firstMs = readMs
      else {
        gapsMs.push(readMs - lastMs)
        rankedGaps.add(readMs - lastMs)
      }
      lastMs = readMs
    },
    read: (now) => ({ isRunning: true, figures: measure(now - startedAt), gapsMs }),
    finish(outcome) {
      const isFailed = outcome.kind === 'failed'
      return {
        id: createId(),
        prompt,
        model,
        startedAt: performance.timeOrigin + startedAt,
        outcome: isFailed
          ? { kind: 'failed', code: outcome.error.code }
          : { kind: 'finished', finishReason: outcome.result.finishReason },
        figures: { readAhead, ...readFigures(isFailed ? outcome.figures : outcome.result) },
        gapsMs,
      }
    },
  }
}

function readFigures({
  latency,
  usage,
  recoveries,
}: Pick<GenerationResult, 'latency' | 'usage' | 'recoveries'>): Omit<RunFigures, 'readAhead'> {
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
