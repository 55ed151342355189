import { RivuletError, asRivuletError } from './contract/errors.js'
import type { CountedTokens, FinishReason, GenerationEvent, TokenChunk } from './contract/worker-api.js'
import type { GenerationEnd } from './generation-record.js'
import type { GenerationSource, GenerationWorker } from './generation-source.js'
import { createTranscript, type GenerationPart } from './transcript.js'
import { recordLatency, type Latency } from './latency.js'

/** What a generation was, when it is over. */
export interface GenerationResult {
  /** Exactly the texts of the stream's chunks, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  readonly usage: Usage
  readonly latency: Latency
  /** How often the generation lost its GPU, its worker or its server, and was taken up again. */
  readonly recoveries: number
  /** Who wrote the text, in order; several where another backend took it over. None where nothing was said. */
  readonly parts: readonly GenerationPart[]
}

export interface Usage {
  /** Tokens of the prompt with its template; 0 when the generation was cancelled before they were counted. */
  readonly promptTokens: number
  /** How many of the prompt's tokens were not computed again, since an earlier prompt or answer began alike. */
  readonly cachedPromptTokens: number
  /**
   * Tokens streamed; the token that ends the text is not one of them. As the server counts them with `remote()`; once
   * cancelled, and where another backend took over, its chunks are counted instead.
   */
  readonly completionTokens: number
}

/** A generation that is lost as often as this without a token in between is lost for good. */
const maxFruitlessAttempts = 3

/** A generation as one worker runs it. */
interface Attempt {
  /** Once there is one. */
  worker: GenerationWorker | undefined
  /** The worker is well, but its model cannot go on where another stopped. */
  isRefused: boolean
  readonly reader: Promise<ReadableStreamDefaultReader<GenerationEvent>>
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
  { take, canRecover, signal, disposed, onEnd }: GenerationSource,
  controller: ReadableStreamDefaultController<TokenChunk>,
): Generation {
  const latency = recordLatency()
  /** Read from the worker, not yet by the reader: here and not in the stream, whose error would drop them. */
  const waiting: TokenChunk[] = []
  const transcript = createTranscript()
  const listeners = new AbortController()
  const { promise: result, resolve, reject } = deferred<GenerationResult>()
  // Whoever only reads the stream learns of a failure there.
  result.catch(() => {})
  let promptTokens = 0
  let cachedPromptTokens = 0
  let hasStarted = false
  let counted: CountedTokens | undefined
  let chunks = 0
  let recoveries = 0
  let fruitlessAttempts = 0
  let outcome: GenerationEnd['outcome'] | undefined
  let hasStreamEnded = false
  let advancing: Promise<void> | undefined
  let attempt = signal?.aborted ? undefined : begin()

  /** @param loss why it is begun again */
  function begin(loss?: RivuletError): Attempt {
    const begun: Attempt = { worker: undefined, isRefused: false, reader: Promise.resolve().then(open) }
    // `watch` tells of a failure.
    begun.reader.catch(() => {})
    void watch(begun)
    return begun

    async function open(): Promise<ReadableStreamDefaultReader<GenerationEvent>> {
      const worker = await take()
      begun.worker = worker
      begun.isRefused = transcript.text !== '' && !worker.info.canContinue
      if (begun.isRefused) throw loss
      return (await worker.generate(transcript.tell(worker.info))).getReader()
    }
  }

  async function watch(begun: Attempt): Promise<void> {
    try {
      await begun.reader
    } catch (error) {
      if (begun === attempt) failWith(error)
      return
    }
    const { closed } = begun.worker!
    const onClosed = () => handleDeath(begun, closed.reason as RivuletError)
    if (closed.aborted) await onClosed()
    else closed.addEventListener('abort', onClosed, { signal: listeners.signal })
  }

  /** Frees the worker, and wakes whoever waits for the next event. */
  function leave(left: Attempt | undefined): void {
    left?.reader.then((events) => events.cancel()).catch(() => {})
  }

  function finish(how: GenerationEnd['outcome']): void {
    if (outcome) return
    outcome = how
    listeners.abort()
    const { text, parts, tokens } = transcript
    const completionTokens = recoveries === 0 ? (counted?.completionTokens ?? tokens) : tokens
    const usage = { promptTokens, cachedPromptTokens, completionTokens }
    const figures = { usage, latency: latency.finish(how.kind, completionTokens), recoveries }
    if (how.kind === 'failed') {
      how.error.text = text
      reject(how.error)
    } else {
      resolve({ text, finishReason: how.finishReason, parts, ...figures })
    }
    leave(attempt)
    onEnd?.({ outcome: how, ...figures })
  }

  /** Takes the generation up again where that may help, behind what has been said. */
  function fail(error: RivuletError): void {
    if (outcome) return
    if (!canRecover || !canGoOn(error)) return finish({ kind: 'failed', error })
    recoveries += 1
    const lost = attempt
    attempt = begin(error)
    leave(lost)
  }

  /** Ends the worker that is lost; where the same backend would be lost again, gives that up. */
  function canGoOn(error: RivuletError): boolean {
    const { worker, isRefused = false } = attempt ?? {}
    const isLost = !isRefused && (error.code === 'worker-failed' || error.code === 'device-lost')
    const canSaySame = transcript.text === '' || worker?.info.canContinue !== false
    if (isLost && canSaySame && fruitlessAttempts < maxFruitlessAttempts) {
      fruitlessAttempts += 1
      // A GPU's loss can show here before the engine knows of it.
      worker?.giveUp(error)
      return true
    }
    if ((isLost || isRefused || error.code === 'connection-failed') && worker?.moveOn(error)) {
      fruitlessAttempts = 0
      return true
    }
    if (isLost) worker?.giveUp(error)
    return false
  }

  const failWith = (error: unknown) =>
    fail(asRivuletError(error, 'generation-failed', 'The generation failed'))

  function apply(event: GenerationEvent): void {
    if (event.kind === 'started') {
      if (attempt?.worker) transcript.setWriter(attempt.worker.info)
      // Who goes on computes a prompt again; it counts where nobody has counted it.
      if (promptTokens === 0) promptTokens = event.promptTokens ?? 0
      if (hasStarted) return
      hasStarted = true
      cachedPromptTokens = event.cachedPromptTokens
      latency.setPrefill({ ...event, promptTokens })
    } else if (event.kind === 'counted') {
      counted = event
      // Who goes on counts what was said as prompt.
      if (recoveries > 0) return
      promptTokens = event.promptTokens
      cachedPromptTokens = event.cachedPromptTokens
      latency.setCounted(event)
    } else if (event.kind === 'chunk') {
      waiting.push({ ...event.chunk, index: chunks })
      chunks += 1
      fruitlessAttempts = 0
      transcript.add(event.chunk)
      // A chunk without a token is what a runtime held back.
      if (event.chunk.tokenCount > 0) latency.addToken()
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
