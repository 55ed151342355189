import { RivuletError, asRivuletError } from './contract/errors.js'
import type { FinishReason, GenerationEvent, TokenChunk } from './contract/worker-api.js'
import { recordLatency, type Latency } from './latency.js'

/** What a generation was, when it is over. */
export interface GenerationResult {
  /** Exactly the texts of the stream's chunks, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  readonly usage: Usage
  readonly latency: Latency
}

export interface Usage {
  /** Tokens of the prompt with its template; 0 when the generation was cancelled before they were counted. */
  readonly promptTokens: number
  /** How many of the prompt's tokens were not computed again, since an earlier prompt or answer began alike. */
  readonly cachedPromptTokens: number
  /** Tokens streamed; the token that ends the text is not one of them. */
  readonly completionTokens: number
}

/** How a generation is started, and what can end it from outside; all of it comes from the engine. */
export interface GenerationSource {
  /** Sends the request to the worker; called once, and not at all when `signal` is already aborted. */
  open(): Promise<ReadableStream<GenerationEvent>>
  /** The caller's: errors the stream with its reason. */
  readonly signal: AbortSignal | undefined
  /** The engine's: cancels, as `cancel()` does. */
  readonly disposed: AbortSignal
  /** The worker's end: what has arrived is still handed out, then its reason. */
  readonly closed: AbortSignal
}

/**
 * One generation: a `ReadableStream` of chunks that holds the model back while nobody reads,
 * and iterates with `for await` also where the platform's streams do not (Safari 26).
 * Leaving the loop cancels the generation.
 */
export class TokenStream extends ReadableStream<TokenChunk> {
  readonly #generation: Generation

  /** Made by `engine.generate`. */
  constructor(source: GenerationSource) {
    let generation: Generation | undefined
    super(
      {
        start: (controller) => {
          generation = readGeneration(source, controller)
        },
        pull: () => generation?.pull(),
        cancel: () => generation?.abandon(),
      },
      { highWaterMark: 0 },
    )
    // `start` has run: the stream's constructor calls it synchronously.
    this.#generation = generation!
  }

  /**
   * Settles when the generation is over: with `finishReason: 'cancelled'` when it was cancelled in whatever way,
   * rejecting with a `RivuletError` (its `text` is what was said) when it failed.
   * Asking for it while nobody reads lets the model run to its end; the chunks wait for a later reader.
   */
  get result(): Promise<GenerationResult> {
    // In a task of its own: whoever starts to read in this turn keeps the model at their pace.
    setTimeout(() => {
      if (!this.locked) void this.#generation.runToEnd()
    })
    return this.#generation.result
  }

  /**
   * Reads the stream to its end.
   * @returns the whole text
   * @throws what the stream errors with
   */
  async text(): Promise<string> {
    let text = ''
    for await (const chunk of this) text += chunk.text
    return text
  }

  /** Ends the generation; also while the stream is locked by a reader, who then sees its end. */
  override async cancel(): Promise<void> {
    this.#generation.cancel()
  }

  override [Symbol.asyncIterator](): AsyncGenerator<TokenChunk, undefined, undefined> {
    return this.values()
  }

  override async *values({ preventCancel = false } = {}): AsyncGenerator<TokenChunk, undefined, undefined> {
    const reader = this.getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        yield value
      }
    } finally {
      // A stream that has failed rejects this with the error that the loop already throws.
      if (!preventCancel) reader.cancel().catch(() => {})
      reader.releaseLock()
    }
  }
}

type Outcome =
  | { readonly kind: 'finished'; readonly finishReason: FinishReason }
  | { readonly kind: 'failed'; readonly error: RivuletError }

interface Generation {
  readonly result: Promise<GenerationResult>
  /** Hands the reader one chunk, the end or the error. */
  pull(): Promise<void>
  /** Reads everything the model will say; the chunks wait for a reader. */
  runToEnd(): Promise<void>
  /** Cancels; the reader sees the stream end. */
  cancel(): void
  /** Cancels; there is no reader any more. */
  abandon(): void
}

/** Reads one generation's events, keeps its text and figures, and feeds the stream behind `controller`. */
function readGeneration(
  { open, signal, disposed, closed }: GenerationSource,
  controller: ReadableStreamDefaultController<TokenChunk>,
): Generation {
  const latency = recordLatency()
  /** Read from the worker, not yet by the reader: here and not in the stream, whose error would drop them. */
  const waiting: TokenChunk[] = []
  const listeners = new AbortController()
  const { promise: result, resolve, reject } = deferred<GenerationResult>()
  // Whoever only reads the stream learns of a failure there.
  result.catch(() => {})
  let text = ''
  let promptTokens = 0
  let cachedPromptTokens = 0
  let completionTokens = 0
  let outcome: Outcome | undefined
  let hasStreamEnded = false
  let advancing: Promise<void> | undefined

  const reader = signal?.aborted
    ? Promise.reject<ReadableStreamDefaultReader<GenerationEvent>>(signal.reason)
    : open().then((events) => events.getReader())
  reader.catch(() => {})

  function finish(how: Outcome): void {
    if (outcome) return
    outcome = how
    listeners.abort()
    if (how.kind === 'failed') {
      how.error.text = text
      reject(how.error)
    } else {
      const usage = { promptTokens, cachedPromptTokens, completionTokens }
      resolve({ text, finishReason: how.finishReason, usage, latency: latency.finish() })
    }
    // Frees the worker, and wakes whoever waits for the next event.
    reader.then((events) => events.cancel()).catch(() => {})
  }

  function apply(event: GenerationEvent): void {
    if (event.kind === 'started') {
      promptTokens = event.promptTokens
      cachedPromptTokens = event.cachedPromptTokens
      latency.setPrefill(event)
    } else if (event.kind === 'chunk') {
      waiting.push(event.chunk)
      text += event.chunk.text
      completionTokens += event.chunk.tokenIds.length
      if (event.chunk.tokenIds.length > 0) latency.addToken()
    } else {
      finish({ kind: 'finished', finishReason: event.finishReason })
    }
  }

  async function readEvent(): Promise<void> {
    try {
      const { done, value } = await (await reader).read()
      if (outcome) return
      if (!done) return apply(value)
      throw new RivuletError('worker-failed', 'The stream from the worker stopped without saying why.')
    } catch (error) {
      finish({ kind: 'failed', error: asRivuletError(error, 'generation-failed', 'The generation failed') })
    } finally {
      advancing = undefined
    }
  }

  /** Reads one event, or joins whoever is reading it. */
  const advance = () => (advancing ??= readEvent())

  async function runToEnd(): Promise<void> {
    while (!outcome) await advance()
  }

  function endStream(end: () => void): void {
    if (hasStreamEnded) return
    hasStreamEnded = true
    end()
  }

  signal?.addEventListener('abort', onAbort, { signal: listeners.signal })
  function onAbort(): void {
    finish({ kind: 'finished', finishReason: 'cancelled' })
    endStream(() => controller.error(signal?.reason))
  }
  if (signal?.aborted) onAbort()

  async function onClosed(): Promise<void> {
    // What has arrived is read within microtasks; a whole task without an event means there is none.
    let hasMore = true
    while (!outcome && hasMore) {
      hasMore = await Promise.race([advance().then(() => true), nextTask().then(() => false)])
    }
    finish({ kind: 'failed', error: closed.reason as RivuletError })
  }
  closed.addEventListener('abort', onClosed, { signal: listeners.signal })

  function cancel(): void {
    finish({ kind: 'finished', finishReason: 'cancelled' })
    endStream(() => {
      for (const chunk of waiting.splice(0)) controller.enqueue(chunk)
      controller.close()
    })
  }
  disposed.addEventListener('abort', cancel, { signal: listeners.signal })

  return {
    result,
    runToEnd,
    async pull() {
      while (waiting.length === 0 && !outcome) await advance()
      const chunk = waiting.shift()
      if (hasStreamEnded) return
      if (chunk) controller.enqueue(chunk)
      else if (outcome?.kind === 'failed') endStream(controller.error.bind(controller, outcome.error))
      else endStream(() => controller.close())
    },
    cancel,
    abandon() {
      hasStreamEnded = true
      finish({ kind: 'finished', finishReason: 'cancelled' })
    },
  }
}

function deferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

const nextTask = () => new Promise<void>((resolve) => setTimeout(resolve))
