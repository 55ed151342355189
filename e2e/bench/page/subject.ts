import type { Counts, WorkerRole } from './probe-channel.js'

export type BenchDtype = 'q4' | 'q4f16' | 'fp16' | 'q8'

/** A model as both libraries load it. */
export interface BenchModel {
  readonly name: string
  /** The folder's absolute URL, with a trailing slash. */
  readonly url: string
  readonly dtype: BenchDtype
  /** The size of the graph file and its external data. */
  readonly weightBytes: number
  /** What a decode step must read from memory, if that is known: the weights, and the KV cache of each token before it. */
  readonly step: { readonly weightBytes: number; readonly cacheBytesPerToken: number } | undefined
  /** The URL of the same model as a GGUF file, if there is one. */
  readonly ggufUrl: string | undefined
}

/** The configuration of a subject: one model on one device. */
export interface Setup extends WorkerRole {
  readonly model: BenchModel
  /** True if transformers.js stores the model's files in the browser, as is its default. rivulet always stores them. @default false */
  readonly usesCache?: boolean
}

/** One greedy completion of raw text. */
export interface Turn {
  readonly prompt: string
  readonly maxTokens: number
  /** The schema of the answer; undefined for free text. */
  readonly jsonSchema?: Readonly<Record<string, unknown>>
  /** Only of rivulet. */
  readonly topLogprobs?: number
}

/** The result of a turn. */
export interface Answer {
  readonly promptTokens: number
  readonly text: string
  /** From the request to the first token. */
  readonly ttftMs: number
  readonly msPerToken: number
}

/** One side of a comparison: a library with a loaded model in a separate worker. */
export interface Subject {
  readonly name: string
  answer(turn: Turn): Promise<Answer>
  readCounts(): Promise<Counts>
  close(): Promise<void>
}

/** Tokens that a pipelined decoder may deliver at once. */
const burst = 4

/**
 * Computes TTFT and time per token. All times must be from one clock. Time per token is the median over spans of `burst`
 * tokens, so that bursts and pauses have no effect.
 */
export function measureTimes(
  startMs: number,
  tokenTimesMs: readonly number[],
): Pick<Answer, 'ttftMs' | 'msPerToken'> {
  const [firstMs] = tokenTimesMs
  const span = Math.min(burst, tokenTimesMs.length - 1)
  if (firstMs === undefined || span < 1) {
    throw new Error(`Only ${tokenTimesMs.length} tokens were generated. At least two are needed to measure.`)
  }
  const costs = tokenTimesMs.slice(span).map((time, index) => (time - tokenTimesMs[index]!) / span)
  return { ttftMs: firstMs - startMs, msPerToken: findMedian(costs) }
}

/** Returns the median of a non-empty list: the middle value, or the mean of the two middle values. */
export function findMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2
}
