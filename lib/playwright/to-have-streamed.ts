import { test, type ExpectMatcherState, type MatcherReturnType } from '@playwright/test'
import { refuse, refuseUnknown } from '../contract/check-options.js'
import { checkMilliseconds } from './check-milliseconds.js'
import { isEqual } from './is-equal.js'
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

/** A tool call to expect. */
export interface ExpectedToolCall {
  readonly name: string
  /** The arguments as an object, which can contain `expect.any()` and the like. @default any arguments */
  readonly arguments?: unknown
}

/**
 * What to expect of a stream: its text, or a part of it; the value of an answer with `responseFormat`; or its tool calls, in
 * order.
 */
export type ExpectedStream =
  | string
  | RegExp
  | { readonly value: unknown }
  | { readonly toolCalls: readonly ExpectedToolCall[] }

/**
 * Passes as soon as the stream's text matches and has arrived in two chunks or more; for tool calls, as soon as they are
 * complete; for a value, when the stream has ended. Values can contain `expect.any()` and the like. Fails as soon as a match is
 * impossible. With `.not`, passes if the stream ends without a match. If the stream fails, does not start, or does not match or end in
 * time, both the assertion and its `.not` fail.
 */
export const toHaveStreamed = async function (
  this: ExpectMatcherState,
  stream: ObservedStream,
  expected: ExpectedStream,
  options: ToHaveStreamedOptions = {},
): Promise<MatcherReturnType> {
  checkArguments(stream, expected, options)
  const { timeout = this.timeout, timeToFirstTokenBudgetMs } = options
  const isCall = typeof expected === 'object' && 'toolCalls' in expected
  const check = () => judge(stream, expected, this.isNot || isCall ? 0 : leastChunks)
  const verdict = (await waitUntil(check, timeout)) ?? explainSilence(stream, timeout)
  if (timeToFirstTokenBudgetMs !== undefined) annotate(stream, timeToFirstTokenBudgetMs)
  const pass = verdict.kind === 'undecided' ? this.isNot : verdict.kind === 'matched'
  const message = () => {
    const { matcherHint, printExpected, printReceived } = this.utils
    return [
      matcherHint('toHaveStreamed', 'stream', 'expected', { isNot: this.isNot }),
      '',
      verdict.kind === 'matched' ? 'The stream matches.' : verdict.why,
      '',
      `Expected: ${this.isNot ? 'not ' : ''}${printExpected(expected)}`,
      `Received: ${printReceived(readActual(stream, expected))} in chunks: ${stream.chunks.length}`,
    ].join('\n')
  }
  return { name: 'toHaveStreamed', pass, message, expected, actual: readActual(stream, expected) }
}

/** Returns what the stream has of the kind that is expected. */
function readActual({ text, toolCalls, state }: ObservedStream, expected: ExpectedStream): unknown {
  if (typeof expected === 'string' || expected instanceof RegExp) return text
  if ('toolCalls' in expected) return toolCalls
  return state.kind === 'ended' ? state.result.value : undefined
}

function matches(stream: ObservedStream, expected: ExpectedStream): boolean {
  const { text, toolCalls, state } = stream
  if (typeof expected === 'string') return text.includes(expected)
  if (expected instanceof RegExp) return text.search(expected) >= 0
  if ('value' in expected) return state.kind === 'ended' && isEqual(state.result.value, expected.value)
  const calls = expected.toolCalls
  return (
    calls.length === toolCalls.length &&
    calls.every((call, index) => {
      const input = parseArguments(toolCalls[index]!.arguments)
      const isComplete = input !== undefined
      const isAny = !('arguments' in call)
      return isComplete && call.name === toolCalls[index]!.name && (isAny || isEqual(input, call.arguments))
    })
  )
}

/** Returns the arguments of a call; undefined while they are not complete. */
function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text.trim() || '{}')
  } catch {
    return undefined
  }
}

/** Compares the stream with what is expected. Returns undefined while the verdict is still open. */
function judge(stream: ObservedStream, expected: ExpectedStream, chunks: number): Verdict | undefined {
  const { state } = stream
  if (state.kind === 'waiting') return undefined
  const isMatch = matches(stream, expected)
  if (isMatch && countTexts(stream) >= chunks) return { kind: 'matched' }
  if (state.kind === 'failed')
    return { kind: 'undecided', why: `The generation failed: ${state.error.message}` }
  if (state.kind === 'running') return undefined
  const why = isMatch
    ? 'The stream matches, but was not streamed: the page did not read it in several chunks. Read it chunk by chunk.'
    : 'The stream ended without a match.'
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
  const isObject = typeof expected === 'object' && expected !== null
  const fields = isObject && !(expected instanceof RegExp) ? Object.keys(expected) : []
  const isForm = fields.length === 1 && (fields[0] === 'value' || fields[0] === 'toolCalls')
  if (typeof expected !== 'string' && !(expected instanceof RegExp) && !isForm) {
    refuse('toHaveStreamed() takes a string, a regular expression, { value } or { toolCalls }.')
  }
  refuseUnknown('toHaveStreamed()', options, optionNames)
  checkMilliseconds('timeout', options.timeout)
  checkMilliseconds('timeToFirstTokenBudgetMs', options.timeToFirstTokenBudgetMs)
}
