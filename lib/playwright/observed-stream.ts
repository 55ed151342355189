import { deserializeError } from '../contract/error-transfer.js'
import type { GenerationResult } from '../generation.js'
import type { StreamReport } from './observe-context.js'

/** One token chunk, as the page's own reader got it. */
export interface ObservedChunk {
  readonly text: string
  readonly tokenCount: number
  /** Since the call of `generate`, by the page's clock. */
  readonly arrivedMs: number
}

/** How far a stream has come. */
export type ObservedState =
  /** The page has not begun it. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly error: Error }

/** A generation of the page under test, from outside. */
export interface ObservedStream {
  readonly state: ObservedState
  /** What the page has read of it. */
  readonly chunks: readonly ObservedChunk[]
  /** What has been said: the chunks' texts, and at the end the result's. */
  readonly text: string
  /**
   * What the page's `stream.result` is: with finish reason, usage and latency. It settles when the generation is over.
   * @throws RivuletError what the generation failed with
   */
  readonly result: Promise<GenerationResult>
}

/** An observed stream, and the way to tell it what was observed. */
export interface StreamRecord {
  readonly stream: ObservedStream
  note(report: StreamReport): void
}

/** A stream that the page has not begun. */
export function recordStream(): StreamRecord {
  const chunks: ObservedChunk[] = []
  let state: ObservedState = { kind: 'waiting' }
  let settle!: (result: GenerationResult | Promise<never>) => void
  const result = new Promise<GenerationResult>((resolve) => (settle = resolve))
  // Whoever only asserts on the stream learns of a failure there.
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
