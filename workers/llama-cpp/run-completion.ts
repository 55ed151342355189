import { RivuletError } from '../../lib/contract/errors.js'
import type { LlamaCpp } from './runtime.js'

/** The used fields of a chunk that llama.cpp's server sends ("/v1/completions"). */
interface Chunk {
  readonly choices: readonly {
    readonly text: string
    readonly finish_reason: 'stop' | 'length' | null
    readonly logprobs?: { readonly content: readonly ChunkLogprobs[] } | null
  }[]
  /** Present only in the last chunk. */
  readonly usage?: object
  /** Present only while the prompt is computed, if the request has `return_progress`. The chunk has no text then. */
  readonly prompt_progress?: {
    /** The prompt's tokens. */
    readonly total: number
    /** How many of them were in the KV cache. */
    readonly cache: number
    /** How many of them are computed, or were in the KV cache. */
    readonly processed: number
  }
  readonly timings: Timings
}

/** Token counts and times from the start of the request up to this chunk. */
export interface Timings {
  /** `prompt_n`: prompt tokens that were computed. `cache_n`: prompt tokens that were found in the KV cache. */
  readonly prompt_n: number
  readonly cache_n: number
  readonly prompt_ms: number
  readonly predicted_n: number
  readonly predicted_ms: number
}

export interface ChunkLogprob {
  readonly id: number
  readonly token: string
  readonly bytes?: readonly number[]
  readonly logprob: number
}

export interface ChunkLogprobs extends ChunkLogprob {
  readonly top_logprobs: readonly ChunkLogprob[]
}

/** A running completion. */
export interface Completion {
  /** Yields one chunk per pull. llama.cpp computes at most one chunk in advance. */
  chunks(): AsyncGenerator<Chunk, undefined, undefined>
  /** Ends the completion and frees llama.cpp for the next one. */
  end(): Promise<void>
}

export function runCompletion(
  runtime: LlamaCpp,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Completion {
  const leaving = new AbortController()
  const arrived: Chunk[] = []
  /** How many chunks llama.cpp may still produce before it must wait. */
  let wanted = 1
  let isOver = false
  let wake = () => {}

  async function mayStep(): Promise<void> {
    while (wanted < 1 && !leaving.signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
    leaving.signal.throwIfAborted()
  }

  function leave(): void {
    leaving.abort(leftError())
    wake()
  }

  const completing = runtime
    .complete(
      {
        ...options,
        stream: true,
        abortSignal: leaving.signal,
        onData(chunk) {
          arrived.push(chunk as Chunk)
          wanted -= 1
          wake()
        },
      },
      mayStep,
    )
    .finally(() => {
      isOver = true
      wake()
    })
  completing.catch(() => {})
  signal.addEventListener('abort', leave, { once: true })

  return {
    async *chunks() {
      for (;;) {
        while (arrived.length === 0 && !isOver) await new Promise<void>((resolve) => (wake = resolve))
        signal.throwIfAborted()
        const chunk = arrived.shift()
        if (!chunk) {
          await completing
          return undefined
        }
        // Lets llama.cpp compute the next chunk while this chunk travels to the reader.
        wanted += 1
        wake()
        yield chunk
      }
    },
    async end() {
      signal.removeEventListener('abort', leave)
      leave()
      await completing.catch(() => {})
    },
  }
}

function leftError(): RivuletError {
  return new RivuletError('generation-failed', 'The answer was cancelled: its reader left.')
}
