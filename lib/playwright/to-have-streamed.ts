import { test, type ExpectMatcherState, type MatcherReturnType } from '@playwright/test'
import { refuse, refuseUnknown } from '../contract/check-options.js'
import { checkMilliseconds } from './check-milliseconds.js'
import type { ObservedStream } from './observed-stream.js'
import { waitUntil } from './wait-until.js'

/** Options of `toHaveStreamed`. */
export interface ToHaveStreamedOptions {
  /** How long to wait, in milliseconds. @default the timeout of `expect` */
  readonly timeout?: number | undefined
  /**
   * A budget for the time to first token, in milliseconds. The time, and whether it is within the budget, are added to the
   * test as an annotation. A test never fails because of the budget: the speed of the machine says little about the code.
   */
  readonly timeToFirstTokenBudgetMs?: number | undefined
}

const optionNames: readonly string[] = [
  'timeout',
  'timeToFirstTokenBudgetMs',
] satisfies (keyof ToHaveStreamedOptions)[]

/** How many chunks with text the page must have read: a single chunk could be the whole answer. */
const leastChunks = 2

type Verdict =
  | { readonly kind: 'matched' }
  /** The stream does not match, and cannot match any more. */
  | { readonly kind: 'unmatched'; readonly why: string }
  /** The stream has not shown whether it matches: both the assertion and its `.not` fail. */
  | { readonly kind: 'undecided'; readonly why: string }

/**
 * Passes as soon as the stream's text matches and has arrived in two chunks or more. Fails as soon as that is impossible.
 * With `.not`, passes if the stream ends without a match. If the stream fails, does not start, or does not match or end in
 * time, both the assertion and its `.not` fail.
 */
export const toHaveStreamed = async function (
  this: ExpectMatcherState,
  stream: ObservedStream,
  expected: string | RegExp,
  options: ToHaveStreamedOptions = {},
): Promise<MatcherReturnType> {
  checkArguments(stream, expected, options)
  const { timeout = this.timeout, timeToFirstTokenBudgetMs } = options
  const check = () => judge(stream, expected, this.isNot ? 0 : leastChunks)
  const verdict = (await waitUntil(check, timeout)) ?? explainSilence(stream, timeout)
  if (timeToFirstTokenBudgetMs !== undefined) annotate(stream, timeToFirstTokenBudgetMs)
  const pass = verdict.kind === 'undecided' ? this.isNot : verdict.kind === 'matched'
  const message = () => {
    const { matcherHint, printExpected, printReceived } = this.utils
    return [
      matcherHint('toHaveStreamed', 'stream', 'expected', { isNot: this.isNot }),
      '',
      verdict.kind === 'matched' ? 'The text matches.' : verdict.why,
      '',
      `Expected: ${this.isNot ? 'not ' : ''}${printExpected(expected)}`,
      `Received: ${printReceived(stream.text)} in chunks: ${countTexts(stream)}`,
    ].join('\n')
  }
  return { name: 'toHaveStreamed', pass, message, expected, actual: stream.text }
}

/** Compares the stream with the expected text. Returns undefined while the verdict is still open. */
function judge(stream: ObservedStream, expected: string | RegExp, chunks: number): Verdict | undefined {
  const { state, text } = stream
  if (state.kind === 'waiting') return undefined
  const isMatch = typeof expected === 'string' ? text.includes(expected) : text.search(expected) >= 0
  if (isMatch && countTexts(stream) >= chunks) return { kind: 'matched' }
  if (state.kind === 'failed')
    return { kind: 'undecided', why: `The generation failed: ${state.error.message}` }
  if (state.kind === 'running') return undefined
  const why = isMatch
    ? 'The text matches, but was not streamed: the page did not read it in several chunks. Read the stream chunk by chunk.'
    : 'The stream ended, and its text does not match.'
  return { kind: 'unmatched', why }
}

function explainSilence({ state }: ObservedStream, timeout: number): Verdict {
  const what = state.kind === 'waiting' ? 'The page started no stream' : 'The stream did not match or end'
  return { kind: 'undecided', why: `${what} within ${timeout} ms.` }
}

/** Counts the chunks with text, since a chunk without text does not change the page. */
const countTexts = ({ chunks }: ObservedStream) => chunks.filter(({ text }) => text !== '').length

function annotate({ chunks: [first] }: ObservedStream, budgetMs: number): void {
  const verdict =
    first === undefined
      ? 'no token arrived'
      : `${Math.round(first.arrivedMs)} ms, ${first.arrivedMs <= budgetMs ? 'within' : 'over'} the budget of ${budgetMs} ms`
  test.info().annotations.push({ type: 'time to first token', description: verdict })
}

function checkArguments(stream: unknown, expected: unknown, options: ToHaveStreamedOptions): void {
  if (typeof (stream as Partial<ObservedStream> | undefined)?.state?.kind !== 'string') {
    refuse('expect(stream).toHaveStreamed() takes a stream from rivulet.nextStream().')
  }
  if (typeof expected !== 'string' && !(expected instanceof RegExp)) {
    refuse('toHaveStreamed() takes a string or a regular expression.')
  }
  refuseUnknown('toHaveStreamed()', options, optionNames)
  checkMilliseconds('timeout', options.timeout)
  checkMilliseconds('timeToFirstTokenBudgetMs', options.timeToFirstTokenBudgetMs)
}
