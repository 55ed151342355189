import type { Counts, WorkerRole } from './probe-channel.js'

/** A model as both libraries load it. */
export interface BenchModel {
  readonly name: string
  /** The folder's URL, absolute, with a slash at its end. */
  readonly url: string
  readonly dtype: 'q4' | 'q8'
  /** The graph's file and those of its external data. */
  readonly weightBytes: number
  /** Of the same model as a GGUF file, where there is one. */
  readonly ggufUrl: string | undefined
}

/** What a subject is to be: one model on one device. */
export interface Setup extends WorkerRole {
  readonly model: BenchModel
}

/** One greedy continuation of raw text. */
export interface Turn {
  readonly prompt: string
  readonly maxTokens: number
}

/** What came of a turn. */
export interface Answer {
  readonly promptTokens: number
  readonly text: string
  /** From the request to the first token. */
  readonly ttftMs: number
  readonly msPerToken: number
}

/** One of those that are compared: a loaded model in a worker of its own. */
export interface Subject {
  readonly name: string
  answer(turn: Turn): Promise<Answer>
  readCounts(): Promise<Counts>
  close(): Promise<void>
}

/** Tokens that a pipelined decoder may hand out in one go. */
const burst = 4

/** Times of one clock → figures. A token's cost is the median over `burst` tokens, so that neither bursts nor pauses count. */
export function measureTimes(
  startMs: number,
  tokenTimesMs: readonly number[],
): Pick<Answer, 'ttftMs' | 'msPerToken'> {
  const [firstMs] = tokenTimesMs
  const span = Math.min(burst, tokenTimesMs.length - 1)
  if (firstMs === undefined || span < 1) {
    throw new Error(`${tokenTimesMs.length} tokens came: too few to measure.`)
  }
  const costs = tokenTimesMs.slice(span).map((time, index) => (time - tokenTimesMs[index]!) / span)
  return { ttftMs: firstMs - startMs, msPerToken: findMedian(costs) }
}

/** The middle value, or the mean of the two in the middle, of a non-empty list. */
export function findMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2
}
