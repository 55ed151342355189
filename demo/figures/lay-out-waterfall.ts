import type { Run } from './run.js'

/** A part of a request, on a line from 0 to its total. */
export interface WaterfallSpan {
  readonly name: keyof typeof spanTitles
  readonly startMs: number
  readonly endMs: number
}

export interface Waterfall {
  /** Without gaps, from 0 to `totalMs`. */
  readonly spans: readonly WaterfallSpan[]
  /** When each token was in the reader's hands. */
  readonly tokenTimesMs: readonly number[]
  readonly totalMs: number
}

/** The parts in their order, each with a sentence that explains it. */
export const spanTitles = {
  Queue: 'Waiting in the worker for earlier questions.',
  Prefill: 'Computing the prompt, but for what was cached.',
  'First token':
    'What the first token took beyond that: the ways between page and worker, the tokenizer, choosing the token.',
  Tokens: 'From the first token to the last.',
  End: 'Until the page knew that the last token was the last.',
} as const

/**
 * A run's figures as parts of one line. Durations of the worker's clock are put on the page's line in the order in which
 * they were; what is not known, as of a run that failed, is left to the next part.
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
    ['Tokens', firstMs === undefined ? prefillEnd : lastMs],
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
