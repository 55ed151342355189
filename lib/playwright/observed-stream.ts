import { deserializeError } from '../contract/error-transfer.js'
import type { ToolCall, ToolCallDelta } from '../contract/worker-api.js'
import type { GenerationResult } from '../generation.js'
import type { StreamReport } from './observe-context.js'

/** One token chunk, as the page read it. */
export interface ObservedChunk {
  readonly text: string
  /** Missing if the chunk has none. */
  readonly reasoning?: string
  /** What the chunk adds to tool calls; missing if it adds nothing. */
  readonly toolCalls?: readonly ToolCallDelta[]
  readonly tokenCount: number
  /** Milliseconds since the call of `generate`, by the page's clock. */
  readonly arrivedMs: number
}

/** The state of an observed stream. */
export type ObservedState =
  /** The page has not started the stream. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly error: Error }

/** A generation in the page under test, as the test sees it. */
export interface ObservedStream {
  readonly state: ObservedState
  /** The chunks that the page has read so far. */
  readonly chunks: readonly ObservedChunk[]
  /** The text so far: the joined texts of the chunks. After the stream has ended, the text of the result. */
  readonly text: string
  /** The tool calls so far. After the stream has ended, those of the result. */
  readonly toolCalls: readonly ToolCall[]
  /**
   * The page's `stream.result`, with finish reason, usage and latency. Its `value` went through JSON. Resolves when the generation ends. Rejects with a
   * `RivuletError` if the generation fails.
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
  const toolCalls: ToolCall[] = []
  let state: ObservedState = { kind: 'waiting' }
  let settle!: (result: GenerationResult | Promise<never>) => void
  const result = new Promise<GenerationResult>((resolve) => (settle = resolve))
  // Without this, a failed generation causes an unhandled rejection in a test that does not read `result`.
  result.catch(() => {})

  function note(report: StreamReport): void {
    if (report.kind === 'generation-started') {
      state = { kind: 'running' }
    } else if (report.kind === 'chunk') {
      const { kind: _, generation: __, ...chunk } = report
      chunks.push(chunk)
      addCalls(toolCalls, chunk)
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
      get toolCalls() {
        return state.kind === 'ended' ? state.result.toolCalls : toolCalls
      },
    },
  }
}

function addCalls(calls: ToolCall[], { toolCalls = [] }: ObservedChunk): void {
  for (const { index, id = '', name = '', argumentsDelta } of toolCalls) {
    const call = calls[index] ?? { id, name, arguments: '' }
    calls[index] = { ...call, arguments: call.arguments + argumentsDelta }
  }
}
