import { RivuletError, asRivuletError } from './contract/errors.js'
import type { Said } from './contract/options.js'
import type { FinishReason, GenerationEvent, TokenChunk } from './contract/worker-api.js'
import { recordLatency, type Latency } from './latency.js'

/** What a generation was, when it is over. */
export interface GenerationResult {
  /** Exactly the texts of the stream's chunks, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  readonly usage: Usage
  readonly latency: Latency
  /** How often the generation lost its GPU or its worker, and was taken up again. */
  readonly recoveries: number
}

export interface Usage {
  /** Tokens of the prompt with its template; 0 when the generation was cancelled before they were counted. */
  readonly promptTokens: number
  /** How many of the prompt's tokens were not computed again, since an earlier prompt or answer began alike. */
  readonly cachedPromptTokens: number
  /** Tokens streamed; the token that ends the text is not one of them. As the server counts them with `remote()`. */
  readonly completionTokens: number
}

/** How a generation is started, and what can end it from outside; all of it comes from the engine. */
export interface GenerationSource {
  /**
   * Sends the request to a worker; not called when `signal` is already aborted.
   * @param said what the stream has, when the request is sent again
   */
  open(said: Said | undefined): Promise<OpenGeneration>
  /** Whether to open it again when its worker or its GPU is lost. */
  readonly canRecover: boolean
  /** The caller's: errors the stream with its reason. */
  readonly signal: AbortSignal | undefined
  /** The engine's: cancels, as `cancel()` does. */
  readonly disposed: AbortSignal
}

/** A generation in a worker. */
export interface OpenGeneration {
  readonly events: ReadableStream<GenerationEvent>
  /** The worker's end: what has arrived is still handed out, then its reason. */
  readonly closed: AbortSignal
  /** Ends the worker, which is good for nothing any more. */
  giveUp(reason: RivuletError): void
}

/** A generation that is lost as often as this without a token in between is lost for good. */
const maxFruitlessAttempts = 3

type Outcome =
  | { readonly kind: 'finished'; readonly finishReason: FinishReason }
  | { readonly kind: 'failed'; readonly error: RivuletError }

/** A generation as one worker runs it. */
interface Attempt {
  readonly reader: Promise<ReadableStreamDefaultReader<GenerationEvent>>
  /** Once it has answered. */
  worker: OpenGeneration | undefined
}

/** One generation, as its stream needs it. */
export interface Generation {
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
export function readGeneration(
  { open, canRecover, signal, disposed }: GenerationSource,
  controller: ReadableStreamDefaultController<TokenChunk>,
): Generation {
  const latency = recordLatency()
  /** Read from the worker, not yet by the reader: here and not in the stream, whose error would drop them. */
  const waiting: TokenChunk[] = []
  const tokenIds: number[] = []
  const listeners = new AbortController()
  const { promise: result, resolve, reject } = deferred<GenerationResult>()
  // Whoever only reads the stream learns of a failure there.
  result.catch(() => {})
  let text = ''
  let promptTokens = 0
  let cachedPromptTokens = 0
  let hasStarted = false
  /** The server counts; until it tells, chunks are. */
  let isCounting = false
  let completionTokens: number | undefined
  let chunks = 0
  let recoveries = 0
  let fruitlessAttempts = 0
  let outcome: Outcome | undefined
  let hasStreamEnded = false
  let advancing: Promise<void> | undefined
  let attempt = signal?.aborted ? undefined : begin(undefined)

  function begin(said: Said | undefined): Attempt {
    const opened = open(said)
    const reader = opened.then(({ events }) => events.getReader())
    // `watch` tells of a failure.
    reader.catch(() => {})
    const begun: Attempt = { reader, worker: undefined }
    void watch(begun, opened)
    return begun
  }

  async function watch(begun: Attempt, opened: Promise<OpenGeneration>): Promise<void> {
    try {
      begun.worker = await opened
    } catch (error) {
      if (begun === attempt) failWith(error)
      return
    }
    const { closed } = begun.worker
    const onClosed = () => handleDeath(begun, closed.reason as RivuletError)
    if (closed.aborted) await onClosed()
    else closed.addEventListener('abort', onClosed, { signal: listeners.signal })
  }

  /** Frees the worker, and wakes whoever waits for the next event. */
  function leave(left: Attempt | undefined): void {
    left?.reader.then((events) => events.cancel()).catch(() => {})
  }

  function finish(how: Outcome): void {
    if (outcome) return
    outcome = how
    listeners.abort()
    if (how.kind === 'failed') {
      how.error.text = text
      reject(how.error)
    } else {
      const uncounted = isCounting ? chunks : tokenIds.length
      const usage = { promptTokens, cachedPromptTokens, completionTokens: completionTokens ?? uncounted }
      resolve({ text, finishReason: how.finishReason, usage, latency: latency.finish(), recoveries })
    }
    leave(attempt)
  }

  /** Takes the generation up again where that may help, behind what has been said. */
  function fail(error: RivuletError): void {
    const isLoss = error.code === 'worker-failed' || error.code === 'device-lost'
    if (outcome) return
    if (!canRecover || !isLoss || fruitlessAttempts === maxFruitlessAttempts) {
      return finish({ kind: 'failed', error })
    }
    fruitlessAttempts += 1
    recoveries += 1
    const lost = attempt
    // A GPU's loss can show here before the engine knows of it.
    lost?.worker?.giveUp(error)
    attempt = begin({ tokenIds: [...tokenIds], textLength: text.length })
    leave(lost)
  }

  const failWith = (error: unknown) =>
    fail(asRivuletError(error, 'generation-failed', 'The generation failed'))

  function apply(event: GenerationEvent): void {
    if (event.kind === 'started') {
      if (hasStarted) return
      hasStarted = true
      isCounting = event.promptTokens === undefined
      promptTokens = event.promptTokens ?? 0
      cachedPromptTokens = event.cachedPromptTokens
      latency.setPrefill({ ...event, promptTokens })
    } else if (event.kind === 'counted') {
      promptTokens = event.promptTokens
      cachedPromptTokens = event.cachedPromptTokens
      completionTokens = event.completionTokens
    } else if (event.kind === 'chunk') {
      waiting.push({ ...event.chunk, index: chunks })
      chunks += 1
      fruitlessAttempts = 0
      text += event.chunk.text
      tokenIds.push(...event.chunk.tokenIds)
      // A server's chunk is a token as good as always; a runtime's without one is what it held back.
      if (event.chunk.tokenIds.length > 0 || isCounting) latency.addToken()
    } else {
      finish({ kind: 'finished', finishReason: event.finishReason })
    }
  }

  async function readEvent(): Promise<void> {
    const read = attempt
    try {
      if (!read) return
      const { done, value } = await (await read.reader).read()
      if (outcome || read !== attempt) return
      if (!done) return apply(value)
      throw new RivuletError('worker-failed', 'The stream from the worker stopped without saying why.')
    } catch (error) {
      if (read === attempt) failWith(error)
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

  async function handleDeath(dead: Attempt, reason: RivuletError): Promise<void> {
    // What has arrived is read within microtasks; a whole task without an event means there is none.
    let hasMore = true
    while (!outcome && dead === attempt && hasMore) {
      hasMore = await Promise.race([advance().then(() => true), nextTask().then(() => false)])
    }
    if (dead === attempt) fail(reason)
  }

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
