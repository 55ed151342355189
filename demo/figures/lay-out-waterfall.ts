import type { Run } from './run.js'

/** A part of a request, in milliseconds since its start. */
interface WaterfallSpan {
  readonly name: keyof typeof spanTitles
  readonly startMs: number
  readonly endMs: number
}

export interface Waterfall {
  /** Cover 0 to `totalMs` without gaps. */
  readonly spans: readonly WaterfallSpan[]
  /** When the reader received each token. */
  readonly tokenTimesMs: readonly number[]
  readonly totalMs: number
}

/** The spans in order, each with a sentence that explains it. */
export const spanTitles = {
  Queue: 'Waiting in the worker for earlier requests.',
  Prefill: 'Processing the prompt, without cached tokens.',
  'First token':
    'The rest of the time to first token: messages between page and worker, tokenization and sampling.',
  Decode: 'From the first token to the last.',
  End: 'From the last token until the stream ended.',
} as const

/**
 * Lays out a run's figures as consecutive spans. Durations measured in the worker are placed on the page's timeline in the
 * order in which they occurred. An unknown duration (a failed run has some) is added to the next span.
 */
export function layOutWaterfall({ figures, gapsMs }: Pick<Run, 'figures' | 'gapsMs'>): Waterfall {
  const { totalMs, timeToFirstTokenMs: firstMs } = figures
  const tokenTimesMs: number[] = []
  if (firstMs !== undefined) tokenTimesMs.push(firstMs)
  for (const gap of gapsMs) tokenTimesMs.push(tokenTimesMs.at(-1)! + gap)
  const untilFirst = Math.min(firstMs ?? totalMs, totalMs)
  const queueEnd = Math.min(figures.queueMs ?? 0, untilFirst)
  const prefillEnd = Math.min(queueEnd + measurePrefill(figures), untilFirst)
  const lastMs = Math.min(tokenTimesMs.at(-1) ?? untilFirst, totalMs)
  const ends = [
    ['Queue', queueEnd],
    ['Prefill', prefillEnd],
    ['First token', firstMs === undefined ? prefillEnd : untilFirst],
    ['Decode', firstMs === undefined ? prefillEnd : lastMs],
    ['End', totalMs],
  ] as const
  const spans = ends.map(([name, endMs], index) => ({
    name,
    startMs: index === 0 ? 0 : ends[index - 1]![1],
    endMs,
  }))
  return { spans, tokenTimesMs, totalMs }
}

function measurePrefill({ promptTokens, cachedTokens, prefillTokensPerSecond }: Run['figures']): number {
  if (promptTokens === undefined || cachedTokens === undefined || !prefillTokensPerSecond) return 0
  return ((promptTokens - cachedTokens) * 1000) / prefillTokensPerSecond
}
