import type { Channel, CountedTokens, TokenChunk } from './contract/worker-api.js'
import { recordLatency, type Latency } from './latency.js'
import type { ResilientEvent } from './resilient-events.js'
import { createTranscript, type Transcript } from './transcript.js'

export interface Usage {
  /** The number of prompt tokens, with the chat template. 0 if the generation was cancelled before the count was known. */
  readonly promptTokens: number
  /**
   * The number of prompt tokens that were in the KV cache already, because an earlier prompt or answer starts with the same
   * tokens.
   */
  readonly cachedPromptTokens: number
  /**
   * The number of streamed tokens, without the end-of-sequence token. With `remote()`, this is the server's count; after a
   * cancel, or after a hand-over to another backend, the server's chunks are counted instead.
   */
  readonly completionTokens: number
  /**
   * How many of `completionTokens` are reasoning; missing if there is none. A server's own count is used if it reports one:
   * some servers do not stream the reasoning.
   */
  readonly reasoningTokens?: number | undefined
}

/** The figures of a generation. */
export interface GenerationFigures {
  readonly usage: Usage
  readonly latency: Latency
  /** How often the generation lost its GPU, worker or server and continued. */
  readonly recoveries: number
}

/** Adds up the events of a generation. */
export interface Tally {
  readonly transcript: Transcript
  readonly recoveries: number
  /** Adds an event. @returns the chunk of the event; undefined if the event is not a chunk */
  add(event: ResilientEvent): TokenChunk | undefined
  /** Returns the figures up to now. */
  finish(): GenerationFigures
}

export function createTally(): Tally {
  const latency = recordLatency()
  const transcript = createTranscript()
  let usage = { promptTokens: 0, cachedPromptTokens: 0 }
  let hasStarted = false
  let counted: CountedTokens | undefined
  let isResumed = false
  let chunks = 0
  let recoveries = 0
  let streamedReasoning = 0

  function addStart(event: Extract<ResilientEvent, { kind: 'started' }>): void {
    // A resumed generation computes the prompt again. Count the prompt only once.
    if (usage.promptTokens === 0) usage = { ...usage, promptTokens: event.promptTokens ?? 0 }
    if (hasStarted) return
    hasStarted = true
    usage = { ...usage, cachedPromptTokens: event.cachedPromptTokens }
    latency.setPrefill({ ...event, ...usage })
  }

  function addCounts(event: CountedTokens): void {
    // For a resumed answer, the runtime counts the answer so far as prompt, so its counts would be wrong.
    if (isResumed) return
    counted = event
    usage = { promptTokens: event.promptTokens, cachedPromptTokens: event.cachedPromptTokens }
    latency.setCounted(event)
  }

  return {
    transcript,
    get recoveries() {
      return recoveries
    },
    add(event) {
      if (event.kind === 'opened') {
        transcript.setWriter(event.info, event.reason)
        isResumed = transcript.tokens > 0
      } else if (event.kind === 'lost' || event.kind === 'resumed') recoveries += 1
      else if (event.kind === 'started') addStart(event)
      else if (event.kind === 'counted') addCounts(event)
      if (event.kind !== 'chunk') return undefined
      transcript.add(event)
      const { kind: _, raw: __, ...step } = event
      const chunk = { ...step, index: chunks }
      chunks += 1
      if (chunk.reasoning !== undefined) streamedReasoning += chunk.tokenCount
      // A chunk can have no token: then it contains only text that the runtime held back.
      if (chunk.tokenCount > 0) latency.addToken(readChannel(chunk))
      return chunk
    },
    finish() {
      const { tokens, reasoning } = transcript
      const { completionTokens = tokens } = counted ?? {}
      const hiddenTokens = reasoning === '' ? (counted?.reasoningTokens ?? 0) : 0
      const reasoningTokens =
        counted?.reasoningTokens ?? (streamedReasoning > 0 ? streamedReasoning : undefined)
      return {
        usage: { ...usage, completionTokens, ...(reasoningTokens !== undefined && { reasoningTokens }) },
        latency: latency.finish(completionTokens - hiddenTokens),
        recoveries,
      }
    },
  }
}

/** Returns the channel of a chunk; undefined if the chunk shows nothing yet. */
function readChannel({ text, reasoning, toolCalls = [] }: TokenChunk): Channel | undefined {
  if (text !== '') return 'text'
  if (reasoning !== undefined) return 'reasoning'
  return toolCalls.length > 0 ? 'tool-calls' : undefined
}
