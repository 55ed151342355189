import { RivuletError, asRivuletError } from './contract/errors.js'
import { readArrival } from './contract/stream-transfer.js'
import type { FinishReason, GenerationEvent, ModelInfo, TokenChunk } from './contract/worker-api.js'
import { createDeferred } from './contract/create-deferred.js'
import { createTally, type GenerationFigures } from './generation-tally.js'
import type { GenerationOutcome } from './observer.js'
import { readResilientEvents, type GenerationSource, type ResilientEvent } from './resilient-events.js'
import type { GenerationPart } from './transcript.js'

/** The whole answer and its figures, when the generation is over. */
export interface GenerationResult extends GenerationFigures {
  /** The texts of the stream's chunks, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  /** For `cancelled`: the reason passed to `cancel()`, or the signal's. */
  readonly cancelReason?: unknown
  /** The backends that generated the text, in order: several after a hand-over, none if there is no text. */
  readonly parts: readonly GenerationPart[]
}

/** What the engine adds to a generation's source. */
export interface GenerationOptions extends GenerationSource {
  /** The caller's: errors the stream with its reason. */
  readonly signal: AbortSignal | undefined
  /** The engine's: cancels, as `cancel()` does. */
  readonly disposed: AbortSignal
  /** The reader got a chunk. */
  readonly onChunk?: ((chunk: DeliveredChunk) => void) | undefined
  /** Called once, when the generation is over, with the model that ended it, if a model had it. */
  readonly onEnd?: ((outcome: GenerationOutcome, info: ModelInfo | undefined) => void) | undefined
}

/** A chunk in its reader's hands. */
interface DeliveredChunk {
  readonly chunk: TokenChunk
  /** A `performance.now()` value. */
  readonly arrivedAt: number
  readonly unreadChunks: number
  readonly recoveries: number
}

/** One generation, as its stream uses it. */
export interface Generation {
  readonly result: Promise<GenerationResult>
  /** Gives the reader one chunk, the end or the error. */
  pull(): Promise<void>
  /** Reads the whole answer; its chunks wait for a reader. */
  runToEnd(): Promise<void>
  /** Cancels; the reader sees the stream end. */
  cancel(reason?: unknown): void
  /** Cancels a stream that has no reader any more. */
  abandon(reason?: unknown): void
}

type Ending =
  | { readonly kind: 'finished'; readonly finishReason: 'stop' | 'length' }
  | { readonly kind: 'cancelled'; readonly reason: unknown }
  | { readonly kind: 'failed'; readonly error: RivuletError }

/** Folds a generation's events into the stream behind `controller` and into the result. */
export function startGeneration(
  { signal, disposed, onChunk, onEnd, ...source }: GenerationOptions,
  controller: ReadableStreamDefaultController<TokenChunk>,
): Generation {
  const tally = createTally()
  /** Read from the worker, but not by the reader yet: kept here, since an error of the stream would drop them. */
  const waiting: DeliveredChunk[] = []
  const stopping = new AbortController()
  const { promise: result, resolve, reject } = createDeferred<GenerationResult>()
  // A caller who only reads the stream sees a failure there.
  result.catch(() => {})
  const events = readResilientEvents(source, tally.transcript, stopping.signal, () => void readToStart())
  let info: ModelInfo | undefined
  let isRunning = false
  let ending: Ending | undefined
  let hasStreamEnded = false
  let advancing: Promise<void> | undefined

  function finish(how: Ending): void {
    if (ending) return
    ending = how
    stopping.abort()
    void events.return(undefined)
    const { text, parts } = tally.transcript
    const figures = tally.finish()
    if (how.kind === 'failed') {
      reject(how.error)
      onEnd?.({ kind: 'failed', error: how.error, figures }, info)
      return
    }
    const reasons =
      how.kind === 'cancelled'
        ? { finishReason: how.kind, cancelReason: how.reason }
        : { finishReason: how.finishReason }
    const finished = { text, ...reasons, parts, ...figures }
    resolve(finished)
    onEnd?.({ kind: 'finished', result: finished }, info)
  }

  function apply(event: ResilientEvent): void {
    const chunk = tally.add(event)
    if (chunk) {
      const { arrivedAt, later } = readArrival(event) ?? { arrivedAt: performance.now(), later: [] }
      const unreadChunks = later.filter((each) => (each as GenerationEvent).kind === 'chunk').length
      waiting.push({ chunk, arrivedAt, unreadChunks, recoveries: tally.recoveries })
    }
    if (event.kind === 'opened') ({ info } = event)
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

  /** Reads one event, or joins the read in progress. */
  const advance = () => (advancing ??= readEvent())

  /** A generation starts, and recovers from a loss, also while nobody reads the stream. */
  async function readToStart(): Promise<void> {
    isRunning = false
    while (!isRunning && !ending) await advance()
  }

  function endStream(end: () => void): void {
    if (hasStreamEnded) return
    hasStreamEnded = true
    end()
  }

  function deliver(delivered: DeliveredChunk): void {
    controller.enqueue(delivered.chunk)
    const unreadChunks = waiting.length + (waiting.at(-1) ?? delivered).unreadChunks
    onChunk?.({ ...delivered, unreadChunks })
  }

  function cancel(reason?: unknown): void {
    finish({ kind: 'cancelled', reason })
    endStream(() => {
      // For a later reader, if there is one.
      for (const { chunk } of waiting.splice(0)) controller.enqueue(chunk)
      controller.close()
    })
  }

  function abort(): void {
    finish({ kind: 'cancelled', reason: signal?.reason })
    endStream(() => controller.error(signal?.reason))
  }

  signal?.addEventListener('abort', abort, { signal: stopping.signal })
  disposed.addEventListener('abort', () => cancel(disposed.reason), { signal: stopping.signal })
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
      else if (ending?.kind === 'failed') endStream(controller.error.bind(controller, ending.error))
      else endStream(() => controller.close())
    },
    cancel,
    abandon(reason) {
      hasStreamEnded = true
      finish({ kind: 'cancelled', reason })
    },
  }
}

/** Several generations can fail with the same error: each gets a copy with its own text. */
function withText({ code, message, details, cause, stack }: RivuletError, text: string): RivuletError {
  // The details are those of the same code.
  const copy = new RivuletError(code as 'generation-failed', message, {
    cause,
    text,
    details: details as never,
  })
  if (stack !== undefined) copy.stack = stack
  return copy
}
