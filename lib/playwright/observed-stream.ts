import { deserializeError } from '../contract/error-transfer.js'
import type { GenerationResult } from '../generation.js'
import type { StreamReport } from './observe-context.js'

/** One token chunk, as the page read it. */
export interface ObservedChunk {
  readonly text: string
  readonly tokenCount: number
  /** Milliseconds since the call of `generate`, by the page's clock. */
  readonly arrivedMs: number
}

/** The state of an observed stream. */
export type ObservedState =
  /** The page has not started it. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly error: Error }

/** A generation in the page under test, seen from the test. */
export interface ObservedStream {
  readonly state: ObservedState
  /** The chunks that the page has read so far. */
  readonly chunks: readonly ObservedChunk[]
  /** The text so far: the chunks' texts joined, and after the end the result's text. */
  readonly text: string
  /**
   * The page's `stream.result`, with finish reason, usage and latency. Settles when the generation ends, and rejects with
   * the `RivuletError` of a failed one.
   */
  readonly result: Promise<GenerationResult>
}

/** An observed stream, and the function that adds an observation to it. */
export interface StreamRecord {
  readonly stream: ObservedStream
  note(report: StreamReport): void
}

/** Creates the record of a stream that the page has not started. */
export function recordStream(): StreamRecord {
  const chunks: ObservedChunk[] = []
  let state: ObservedState = { kind: 'waiting' }
  let settle!: (result: GenerationResult | Promise<never>) => void
  const result = new Promise<GenerationResult>((resolve) => (settle = resolve))
  // A test that only asserts on the stream sees a failure there, not as an unhandled rejection.
  result.catch(() => {})

  function note(report: StreamReport): void {
    if (report.kind === 'generation-started') {
      state = { kind: 'running' }
    } else if (report.kind === 'chunk') {
      const { text, tokenCount, arrivedMs } = report
      chunks.push({ text, tokenCount, arrivedMs })
    } else if (report.kind === 'generation-ended') {
      state = { kind: 'ended', result: report.result }
      settle(report.result)
    } else {
      const error = deserializeError(report.error)
      state = { kind: 'failed', error }
      settle(Promise.reject(error))
    }
  }

  return {
    note,
    stream: {
      chunks,
      result,
      get state() {
        return state
      },
      get text() {
        return state.kind === 'ended' ? state.result.text : chunks.map(({ text }) => text).join('')
      },
    },
  }
}
