import { formatMs, formatNumber, type FormattedFigure } from '../figure-format.js'
import type { RunFigures } from './run.js'

/** How to display a figure and how to compare two values of it. */
export interface FigureDescription {
  readonly name: keyof RunFigures
  readonly testId: string
  readonly label: string
  /** A sentence that explains the figure. */
  readonly title: string
  readonly format: (value: number) => FormattedFigure
  /** Which of two values is better; undefined if neither is. */
  readonly better: 'lower' | 'higher' | undefined
  /** Also shown where there is little space. */
  readonly isMain: boolean
}

const speed = (value: number) => formatNumber(value, 'tok/s')
const count = (value: number) => ({ value: String(value), unit: '' })

/** All figures of a run, in display order. */
export const figureList = [
  {
    name: 'timeToFirstTokenMs',
    testId: 'ttft',
    label: 'TTFT',
    title: 'Time to first token: from sending the prompt to the first token on this page.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'tokensPerSecond',
    testId: 'tps',
    label: 'Decode speed',
    title: 'Tokens per second, from the first token to the last.',
    format: speed,
    better: 'higher',
    isMain: true,
  },
  {
    name: 'interTokenP50Ms',
    testId: 'itl-p50',
    label: 'Inter-token p50',
    title: 'Inter-token latency, 50th percentile: 50 % of the gaps between tokens were at most this long.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'interTokenP95Ms',
    testId: 'itl-p95',
    label: 'Inter-token p95',
    title: 'Inter-token latency, 95th percentile: 95 % of the gaps between tokens were at most this long.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'totalMs',
    testId: 'total',
    label: 'Total time',
    title: 'From sending the prompt to the end of the answer.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'tokens',
    testId: 'tokens',
    label: 'Tokens',
    title: 'Number of generated tokens.',
    format: count,
    better: undefined,
    isMain: true,
  },
  {
    name: 'interTokenP99Ms',
    testId: 'itl-p99',
    label: 'Inter-token p99',
    title: 'Inter-token latency, 99th percentile: 99 % of the gaps between tokens were at most this long.',
    format: formatMs,
    better: 'lower',
    isMain: false,
  },
  {
    name: 'prefillTokensPerSecond',
    testId: 'prefill',
    label: 'Prefill speed',
    title: 'Prompt tokens processed per second, without cached tokens.',
    format: speed,
    better: 'higher',
    isMain: false,
  },
  {
    name: 'queueMs',
    testId: 'queue',
    label: 'Queue time',
    title: 'How long the request waited in the worker for earlier requests.',
    format: formatMs,
    better: 'lower',
    isMain: false,
  },
  {
    name: 'promptTokens',
    testId: 'prompt-tokens',
    label: 'Prompt tokens',
    title: 'Tokens of the whole prompt, including earlier turns and the chat template.',
    format: count,
    better: undefined,
    isMain: false,
  },
  {
    name: 'cachedTokens',
    testId: 'cached',
    label: 'Cached tokens',
    title:
      'Prompt tokens reused from the KV cache, because an earlier prompt or answer starts with the same tokens.',
    format: count,
    better: 'higher',
    isMain: false,
  },
  {
    name: 'recoveries',
    testId: 'recoveries',
    label: 'Recoveries',
    title: 'How often the answer continued after the GPU, the worker or the server was lost.',
    format: count,
    better: 'lower',
    isMain: false,
  },
  {
    name: 'readAhead',
    testId: 'read-ahead',
    label: 'Read-ahead',
    title:
      'The largest number of tokens that had arrived but were not read yet when the page read an earlier one: 0 if the page keeps up.',
    format: count,
    better: undefined,
    isMain: false,
  },
] as const satisfies readonly FigureDescription[]
