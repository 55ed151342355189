import { RivuletError, asRivuletError } from './contract/errors.js'
import { readArrival } from './contract/stream-transfer.js'
import type { CountedTokens, FinishReason, TokenChunk } from './contract/worker-api.js'
import { recordLatency, type Latency } from './latency.js'
import type { GenerationOutcome } from './observer.js'
import { readResilientEvents, type GenerationSource, type ResilientEvent } from './resilient-events.js'
import { createTranscript, type GenerationPart } from './transcript.js'

/** The whole answer and its figures, when the generation is over. */
export interface GenerationResult {
  /** The texts of the stream's chunks, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  /** For `cancelled`: the reason passed to `cancel()`, or the signal's. */
  readonly cancelReason?: unknown
  readonly usage: Usage
  readonly latency: Latency
  /** How often the generation lost its GPU, worker or server and continued. */
  readonly recoveries: number
  /** The backends that generated the text, in order: several after a hand-over, none if there is no text. */
  readonly parts: readonly GenerationPart[]
}

export interface Usage {
  /** Tokens of the prompt with its template; 0 if the generation was cancelled before they were counted. */
  readonly promptTokens: number
  /** Prompt tokens that were in the KV cache already, because an earlier prompt or answer starts with the same tokens. */
  readonly cachedPromptTokens: number
  /**
   * Tokens streamed, without the end-of-sequence token. With `remote()` the server's count; after a cancel or a hand-over
   * the number of its chunks.
   */
  readonly completionTokens: number
}

/** What the engine adds to a generation's source. */
export interface GenerationOptions extends GenerationSource {
  /** The caller's: errors the stream with its reason. */
  readonly signal: AbortSignal | undefined
  /** The engine's: cancels, as `cancel()` does. */
  readonly disposed: AbortSignal
  /** The reader got a chunk. */
  readonly onChunk?: ((chunk: DeliveredChunk) => void) | undefined
  /** Called once, when the generation is over. */
  readonly onEnd?: ((outcome: GenerationOutcome) => void) | undefined
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
  const latency = recordLatency()
  /** Read from the worker, but not by the reader yet: kept here, since an error of the stream would drop them. */
  const waiting: DeliveredChunk[] = []
  const transcript = createTranscript()
  const stopping = new AbortController()
  const { promise: result, resolve, reject } = createDeferred<GenerationResult>()
  // A caller who only reads the stream sees a failure there.
  result.catch(() => {})
  const events = readResilientEvents(source, transcript, stopping.signal, () => void readToStart())
  let usage = { promptTokens: 0, cachedPromptTokens: 0 }
  let hasStarted = false
  let isRunning = false
  let counted: CountedTokens | undefined
  let chunks = 0
  let recoveries = 0
  let ending: Ending | undefined
  let hasStreamEnded = false
  let advancing: Promise<void> | undefined

  function finish(how: Ending): void {
    if (ending) return
    ending = how
    stopping.abort()
    void events.return(undefined)
    const { text, parts, tokens } = transcript
    const completionTokens = recoveries === 0 ? (counted?.completionTokens ?? tokens) : tokens
    const figures = { usage: { ...usage, completionTokens }, latency: latency.finish(), recoveries }
    if (how.kind === 'failed') {
      how.error.text = text
      reject(how.error)
      onEnd?.({ kind: 'failed', error: how.error, figures })
      return
    }
    const reasons =
      how.kind === 'cancelled'
        ? { finishReason: how.kind, cancelReason: how.reason }
        : { finishReason: how.finishReason }
    const finished = { text, ...reasons, parts, ...figures }
    resolve(finished)
    onEnd?.({ kind: 'finished', result: finished })
  }

  function apply(event: ResilientEvent): void {
    if (event.kind === 'opened') return transcript.setWriter(event.info)
    if (event.kind === 'lost') {
      recoveries += 1
      isRunning = false
      void readToStart()
      return
    }
    if (event.kind === 'started') {
      isRunning = true
      // A resumed generation computes the prompt again: it is counted once.
      if (usage.promptTokens === 0) usage = { ...usage, promptTokens: event.promptTokens ?? 0 }
      if (hasStarted) return
      hasStarted = true
      usage = { ...usage, cachedPromptTokens: event.cachedPromptTokens }
      latency.setPrefill({ ...event, ...usage })
      return
    }
    if (event.kind === 'counted') {
      counted = event
      // After a loss, the runtime counts the answer so far as prompt.
      if (recoveries > 0) return
      usage = { promptTokens: event.promptTokens, cachedPromptTokens: event.cachedPromptTokens }
      latency.setCounted(event)
      return
    }
    if (event.kind === 'ended') return finish({ kind: 'finished', finishReason: event.finishReason })
    const { arrivedAt, unreadChunks } = readArrival(event) ?? {
      arrivedAt: performance.now(),
      unreadChunks: 0,
    }
    const { kind: _, ...step } = event
    waiting.push({ chunk: { ...step, index: chunks }, arrivedAt, unreadChunks, recoveries })
    chunks += 1
    transcript.add(event)
    // A chunk without a token contains text that the runtime held back.
    if (event.tokenCount > 0) latency.addToken()
  }

  async function readEvent(): Promise<void> {
    try {
      const { done, value } = await events.next()
      if (ending) return
      if (done) throw new RivuletError('worker-failed', 'The generation stopped before its end.')
      apply(value)
    } catch (error) {
      finish({ kind: 'failed', error: asRivuletError(error, 'generation-failed', 'The generation failed') })
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
      while (waiting.length > 0) deliver(waiting.shift()!)
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

/** `Promise.withResolvers` is newer than the oldest browsers that can run this library. */
function createDeferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
