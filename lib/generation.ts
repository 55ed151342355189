import { RivuletError, asRivuletError } from './contract/errors.js'
import { readArrival } from './contract/stream-transfer.js'
import type {
  AnswerEnd,
  FinishReason,
  GenerationEvent,
  ModelInfo,
  PrefillProgress,
  TokenChunk,
  ToolCall,
} from './contract/worker-api.js'
import { createDeferred } from './contract/create-deferred.js'
import type { AnswerValue } from './answer-value.js'
import { createTally, type GenerationFigures } from './generation-tally.js'
import type { GenerationOutcome } from './observer.js'
import { readResilientEvents, type GenerationSource, type ResilientEvent } from './resilient-events.js'
import type { GenerationPart } from './transcript.js'

/** The whole answer and its figures. Available when the generation is over. */
export interface GenerationResult<Value = unknown, Partial = unknown> extends GenerationFigures {
  /** The texts of the stream's chunks, joined. */
  readonly text: string
  /** The reasoning of the stream's chunks, joined; empty if the model showed none. */
  readonly reasoning: string
  /** The tool calls of the answer, in order; empty if there are none. */
  readonly toolCalls: readonly ToolCall[]
  /**
   * The parsed and validated value of an answer with `responseFormat`; for `{ regex }` and `{ grammar }`, the text. Undefined
   * if `finishReason` is not `stop`: then the value is not complete.
   */
  readonly value?: Value | undefined
  /** The value so far, if `responseFormat` is set and `finishReason` is not `stop`. It is not validated. */
  readonly partialValue?: Partial | undefined
  readonly finishReason: FinishReason
  /** If `finishReason` is `cancelled`: the reason passed to `cancel()`, or the reason of the signal. */
  readonly cancelReason?: unknown
  /** The backends that generated the text, in order. More than one after a hand-over; empty if there is no text. */
  readonly parts: readonly GenerationPart[]
}

/** The options of one generation: its source, and the signals and callbacks that the engine adds. */
export interface GenerationOptions extends GenerationSource {
  /** Reads the value of an answer with `responseFormat`. */
  readonly answerValue?: AnswerValue | undefined
  /** The caller's signal. When it aborts, the stream fails with the signal's reason. */
  readonly signal: AbortSignal | undefined
  /** The signal of the engine's `dispose()`. When it aborts, the generation is cancelled as by `cancel()`. */
  readonly disposed: AbortSignal
  /** Called when a part of the prompt was computed, if the request has `reportsPrefill`. */
  readonly onPrefill?: ((progress: PrefillProgress) => void) | undefined
  /** Called when the reader gets a chunk. */
  readonly onChunk?: ((chunk: DeliveredChunk) => void) | undefined
  /** Called once, when the generation is over. `info` is the model that ran it last; undefined if no model has run it. */
  readonly onEnd?: ((outcome: GenerationOutcome, info: ModelInfo | undefined) => void) | undefined
}

/** A chunk that the reader gets, with facts about its delivery. */
interface DeliveredChunk {
  readonly chunk: TokenChunk
  /** The time when the chunk arrived on the page: a `performance.now()` value. */
  readonly arrivedAt: number
  readonly unreadChunks: number
  readonly recoveries: number
}

/** The functions and the result of one generation, for its `TokenStream`. */
export interface Generation {
  readonly result: Promise<GenerationResult>
  /** Passes the next chunk to the reader, or ends the stream, or makes the stream fail with the generation's error. */
  pull(): Promise<void>
  /** Runs the generation to its end without a reader. Its chunks wait for a later reader. */
  runToEnd(): Promise<void>
  /** Cancels the generation. For its reader, the stream ends. @throws the stream's error if the stream has failed */
  cancel(reason?: unknown): void
  /** Cancels the generation after the reader has cancelled the stream. The stream itself has already ended. */
  abandon(reason?: unknown): void
}

type Ending =
  | { readonly kind: 'finished'; readonly finishReason: AnswerEnd }
  | { readonly kind: 'cancelled'; readonly reason: unknown }
  | { readonly kind: 'failed'; readonly error: RivuletError }

/** Starts a generation. Writes its chunks to the stream that `controller` controls, and collects its result. */
export function startGeneration(
  { answerValue, signal, disposed, onPrefill, onChunk, onEnd, ...source }: GenerationOptions,
  controller: ReadableStreamDefaultController<TokenChunk>,
): Generation {
  const tally = createTally()
  /**
   * Chunks that were read from the worker, but not yet by the stream's reader. They are not in the stream's own queue,
   * because an error of the stream would drop that queue.
   */
  const waiting: DeliveredChunk[] = []
  const stopping = new AbortController()
  const { promise: result, resolve, reject } = createDeferred<GenerationResult>()
  // A caller that only reads the stream gets the failure from the stream. Avoid an unhandled rejection of `result`.
  result.catch(() => {})
  const events = readResilientEvents(source, tally.transcript, stopping.signal, () => void readToStart())
  let info: ModelInfo | undefined
  let isRunning = false
  let ending: Ending | undefined
  let hasStreamEnded = false
  let streamFailure: { readonly error: unknown } | undefined
  let advancing: Promise<void> | undefined

  function finish(how: Ending): void {
    if (ending) return
    ending = how
    stopping.abort(how.kind === 'cancelled' ? how.reason : undefined)
    void events.return(undefined)
    const { text, reasoning, toolCalls, parts } = tally.transcript
    const figures = tally.finish()
    settleStream()
    const fail = (error: RivuletError) => {
      reject(error)
      onEnd?.({ kind: 'failed', error, figures }, info)
    }
    if (how.kind === 'failed') return fail(how.error)
    const reasons =
      how.kind === 'cancelled'
        ? { finishReason: how.kind, cancelReason: how.reason }
        : { finishReason: how.finishReason }
    const settle = (values: Pick<GenerationResult, 'value' | 'partialValue'>) => {
      const finished = { text, reasoning, toolCalls, ...values, ...reasons, parts, ...figures }
      resolve(finished)
      onEnd?.({ kind: 'finished', result: finished }, info)
    }
    if (!answerValue) return settle({})
    if (reasons.finishReason !== 'stop') {
      const partial = answerValue.readPartial()
      partial.add(text)
      return settle({ partialValue: partial.value })
    }
    void answerValue.read(text).then((value) => settle({ value }), fail)
  }

  function apply(event: ResilientEvent): void {
    const chunk = tally.add(event)
    if (chunk) {
      const { arrivedAt, later } = readArrival(event) ?? { arrivedAt: performance.now(), later: [] }
      const unreadChunks = later.filter((each) => (each as GenerationEvent).kind === 'chunk').length
      waiting.push({ chunk, arrivedAt, unreadChunks, recoveries: tally.recoveries })
    }
    if (event.kind === 'opened') ({ info } = event)
    if (event.kind === 'prefilling') {
      const { computedTokens, totalTokens } = event
      onPrefill?.({ computedTokens, totalTokens })
    }
    if (event.kind === 'started') isRunning = true
    if (event.kind === 'lost') void readToStart()
    if (event.kind === 'ended') finish({ kind: 'finished', finishReason: event.finishReason })
  }

  async function readEvent(): Promise<void> {
    try {
      const { done, value } = await events.next()
      if (ending) return
      if (done) throw new RivuletError('worker-failed', 'The generation stopped before its end.')
      apply(value)
    } catch (error) {
      const failure = asRivuletError(error, 'generation-failed', 'The generation failed')
      finish({ kind: 'failed', error: withText(failure, tally.transcript.text) })
    } finally {
      advancing = undefined
    }
  }

  /** Reads one event. If a read is already in progress, waits for that read instead. */
  const advance = () => (advancing ??= readEvent())

  /** Reads events until the model has started, so that a generation starts, or recovers from a loss, without a reader. */
  async function readToStart(): Promise<void> {
    isRunning = false
    while (!isRunning && !ending) await advance()
  }

  function closeStream(): void {
    if (hasStreamEnded) return
    hasStreamEnded = true
    controller.close()
  }

  function failStream(error: unknown): void {
    if (hasStreamEnded) return
    hasStreamEnded = true
    streamFailure = { error }
    controller.error(error)
  }

  /**
   * Ends the stream once its reader has all chunks, so that `closed` settles without another read. An error would drop a
   * chunk in the stream's own queue, where it is if its reader has released the lock.
   */
  function settleStream(): void {
    if (!ending || ending.kind === 'cancelled' || waiting.length > 0 || controller.desiredSize !== 0) return
    if (ending.kind === 'failed') failStream(ending.error)
    else closeStream()
  }

  function deliver(delivered: DeliveredChunk): void {
    controller.enqueue(delivered.chunk)
    const unreadChunks = waiting.length + (waiting.at(-1) ?? delivered).unreadChunks
    onChunk?.({ ...delivered, unreadChunks })
    settleStream()
  }

  function cancel(reason?: unknown): void {
    finish({ kind: 'cancelled', reason })
    waiting.length = 0
    closeStream()
  }

  /** Ends the generation because its engine is disposed. The reader can still read the chunks that have arrived. */
  function leave(): void {
    finish({ kind: 'cancelled', reason: disposed.reason })
    if (!hasStreamEnded) for (const { chunk } of waiting.splice(0)) controller.enqueue(chunk)
    closeStream()
  }

  function abort(): void {
    finish({ kind: 'cancelled', reason: signal?.reason })
    failStream(signal?.reason)
  }

  signal?.addEventListener('abort', abort, { signal: stopping.signal })
  disposed.addEventListener('abort', leave, { signal: stopping.signal })
  if (signal?.aborted) abort()
  else void readToStart()

  return {
    result,
    async runToEnd() {
      while (!ending) await advance()
    },
    async pull() {
      while (waiting.length === 0 && !ending) await advance()
      const delivered = waiting.shift()
      if (hasStreamEnded) return
      if (delivered) deliver(delivered)
      else if (ending?.kind === 'failed') failStream(ending.error)
      else closeStream()
    },
    cancel(reason) {
      cancel(reason)
      if (streamFailure) throw streamFailure.error
    },
    abandon(reason) {
      hasStreamEnded = true
      finish({ kind: 'cancelled', reason })
    },
  }
}

/** Returns a copy of the error with the generation's text. Several generations can fail with the same error object. */
function withText({ code, message, details, cause, stack }: RivuletError, text: string): RivuletError {
  // The casts are safe: `code` and `details` come from the same error.
  const copy = new RivuletError(code as 'generation-failed', message, {
    cause,
    text,
    details: details as never,
  })
  if (stack !== undefined) copy.stack = stack
  return copy
}
