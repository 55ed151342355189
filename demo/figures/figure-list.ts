import { formatMs, formatNumber, type FormattedFigure } from '../figure-format.js'
import type { RunFigures } from './run.js'

/** How a figure is shown and compared. */
export interface FigureDescription {
  readonly name: keyof RunFigures
  readonly testId: string
  readonly label: string
  /** A sentence that explains it. */
  readonly title: string
  readonly format: (value: number) => FormattedFigure
  /** Which of two values is the better one; undefined where neither is. */
  readonly better: 'lower' | 'higher' | undefined
  /** Also shown where there is room for few. */
  readonly isMain: boolean
}

const speed = (value: number) => formatNumber(value, 'tok/s')
const count = (value: number) => ({ value: String(value), unit: '' })

/** All figures of a run, in the order in which they are shown. */
export const figureList = [
  {
    name: 'timeToFirstTokenMs',
    testId: 'ttft',
    label: 'First token',
    title: 'Time to first token (TTFT): from the question to the first token on this page.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'tokensPerSecond',
    testId: 'tps',
    label: 'Speed',
    title: 'Tokens a second, from the first token to the last.',
    format: speed,
    better: 'higher',
    isMain: true,
  },
  {
    name: 'interTokenP50Ms',
    testId: 'itl-p50',
    label: 'Inter-token p50',
    title: 'Half of the gaps between one token and the next were at most this long.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'interTokenP95Ms',
    testId: 'itl-p95',
    label: 'Inter-token p95',
    title: '95 of 100 gaps between one token and the next were at most this long.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'totalMs',
    testId: 'total',
    label: 'Total',
    title: 'From the question to the end of the answer.',
    format: formatMs,
    better: 'lower',
    isMain: true,
  },
  {
    name: 'tokens',
    testId: 'tokens',
    label: 'Tokens',
    title: 'Tokens of the answer.',
    format: count,
    better: undefined,
    isMain: true,
  },
  {
    name: 'interTokenP99Ms',
    testId: 'itl-p99',
    label: 'Inter-token p99',
    title: '99 of 100 gaps between one token and the next were at most this long.',
    format: formatMs,
    better: 'lower',
    isMain: false,
  },
  {
    name: 'prefillTokensPerSecond',
    testId: 'prefill',
    label: 'Prefill',
    title: 'How fast the prompt was computed, in tokens a second; cached tokens do not count.',
    format: speed,
    better: 'higher',
    isMain: false,
  },
  {
    name: 'queueMs',
    testId: 'queue',
    label: 'Queue',
    title: 'How long the question waited in the worker for earlier ones.',
    format: formatMs,
    better: 'lower',
    isMain: false,
  },
  {
    name: 'promptTokens',
    testId: 'prompt-tokens',
    label: 'Prompt',
    title: 'Tokens of the whole prompt, with earlier turns and the chat template.',
    format: count,
    better: undefined,
    isMain: false,
  },
  {
    name: 'cachedTokens',
    testId: 'cached',
    label: 'Cached',
    title:
      'Tokens of the prompt that were not computed again, since an earlier prompt or answer began alike.',
    format: count,
    better: 'higher',
    isMain: false,
  },
  {
    name: 'recoveries',
    testId: 'recoveries',
    label: 'Recoveries',
    title: 'How often the GPU, the worker or the server was lost and the answer went on all the same.',
    format: count,
    better: 'lower',
    isMain: false,
  },
  {
    name: 'readAhead',
    testId: 'read-ahead',
    label: 'Read-ahead',
    title:
      'The most tokens that waited behind one that the page was taking: 0 where the page keeps up, 2 at most.',
    format: count,
    better: undefined,
    isMain: false,
  },
] as const satisfies readonly FigureDescription[]
