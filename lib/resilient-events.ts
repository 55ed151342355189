import { refuse } from './contract/check-options.js'
import { RivuletError, asRivuletError } from './contract/errors.js'
import type { GenerateRequest, Resume } from './contract/request.js'
import type { GenerationEvent, ModelInfo } from './contract/worker-api.js'
import type { RouteReason } from './transcript.js'

/** Provides the worker and the request for each attempt of a generation. The engine implements this. */
export interface GenerationSource {
  /**
   * Returns the worker to use. Not called after the generation's signal aborts.
   * @param prepare creates the request for a model, with the answer so far. @throws RivuletError if the model cannot take it
   * @param signal aborted when the generation is over
   */
  takeWorker(prepare: (info: ModelInfo) => GenerateRequest, signal: AbortSignal): Promise<GenerationWorker>
  /**
   * Creates the request for a model.
   * @throws RivuletError `invalid-option` if the model does not support the request, or cannot resume an answer
   */
  createRequest(info: ModelInfo, resume: Resume | undefined): GenerateRequest
  /** True if the generation continues with another worker when its worker or GPU is lost. */
  readonly canRecover: boolean
}

/** A loaded worker, for one generation. */
export interface GenerationWorker {
  readonly info: ModelInfo
  /** Why this backend was chosen, in an engine with `route`. */
  readonly reason?: RouteReason
  generate(request: GenerateRequest): Promise<ReadableStream<GenerationEvent>>
  /** Aborted when the worker is closed. Events that arrived before the abort are still read. */
  readonly closed: AbortSignal
  terminate(reason: RivuletError): void
  /**
   * Terminates the worker and excludes its backend from further attempts.
   * @returns false if there is no other backend. In this case nothing has changed
   */
  switchBackend(reason: RivuletError): boolean
}

/** An event of a generation, or an event of its attempts: `opened` and `lost`. */
export type ResilientEvent =
  | GenerationEvent
  /** A worker was chosen for the generation, for the first time or after a loss. */
  | { readonly kind: 'opened'; readonly info: ModelInfo; readonly reason?: RouteReason | undefined }
  /** The worker or its backend was lost. The next event comes from another worker. */
  | { readonly kind: 'lost' }

/** The answer so far. The reader of the events keeps it. */
export interface AnswerSoFar {
  /** Returns what the model needs to continue the answer. @returns undefined if nothing was generated yet */
  resumeFor(info: ModelInfo): Resume | undefined
  /** True if the model `info` can continue the answer's channels: text, reasoning and tool calls. */
  canResume(info: ModelInfo): boolean
}

/** The maximum number of retries in a row that produce no token. Then another backend takes over, or the answer fails. */
const maxFruitlessAttempts = 3

/**
 * Yields the events of one generation, and continues it after the loss of a worker, GPU or backend. Reads only on demand.
 * @param signal ends the iteration and frees the worker at once
 * @param onClosed called when the running worker is closed, also while the caller reads no event
 * @throws RivuletError the reason of a loss that cannot be recovered, or any other failure
 */
export async function* readResilientEvents(
  { takeWorker, createRequest, canRecover }: GenerationSource,
  answer: AnswerSoFar,
  signal: AbortSignal,
  onClosed: () => void,
): AsyncGenerator<ResilientEvent, undefined> {
  let fruitlessAttempts = 0
  let loss: RivuletError | undefined
  for (;;) {
    let worker: GenerationWorker | undefined
    let isRefused = false
    try {
      worker = await takeWorker(prepare, signal)
      if (signal.aborted) return
      const { info, reason } = worker
      let request: GenerateRequest
      try {
        request = prepare(info)
      } catch (refusal) {
        isRefused = loss !== undefined
        // A worker has accepted this request before, so the loss is the error to report.
        throw loss ?? refusal
      }
      yield { kind: 'opened', info, reason }
      const attempt = await startAttempt(worker, request, signal, onClosed)
      try {
        for (let event = await attempt.read(); event; event = await attempt.read()) {
          if (event.kind === 'chunk') fruitlessAttempts = 0
          yield event
        }
      } finally {
        attempt.leave()
      }
      return
    } catch (error) {
      if (signal.aborted) return
      loss = asRivuletError(error, 'generation-failed', 'The generation failed')
      if (!canRecover || !prepareNextAttempt(loss, worker, isRefused)) throw loss
      if (!isRefused) yield { kind: 'lost' }
    }
  }

  function prepare(info: ModelInfo): GenerateRequest {
    if (!canContinue(info)) refuse(`${info.backend} cannot continue this answer with this model.`)
    return createRequest(info, answer.resumeFor(info))
  }

  function canContinue(info: ModelInfo): boolean {
    return !answer.resumeFor(info) || (info.supports.continuation && answer.canResume(info))
  }

  /**
   * Terminates the lost worker. If its backend was lost too often or cannot resume, switches to another backend.
   * @returns true if the generation can be tried again
   */
  function prepareNextAttempt(
    error: RivuletError,
    worker: GenerationWorker | undefined,
    isRefused: boolean,
  ): boolean {
    const isLost = !isRefused && (error.code === 'worker-failed' || error.code === 'device-lost')
    if (isLost && (!worker || canContinue(worker.info)) && fruitlessAttempts < maxFruitlessAttempts) {
      fruitlessAttempts += 1
      // This code can notice the loss of a GPU before the engine does.
      worker?.terminate(error)
      return true
    }
    const isRefusedByServer = error.code === 'connection-failed' || error.code === 'model-not-found'
    const mayHelp = isLost || isRefused || isRefusedByServer
    if (mayHelp && worker?.switchBackend(error)) {
      fruitlessAttempts = 0
      return true
    }
    if (isLost) worker?.terminate(error)
    return false
  }
}

/** One worker's attempt at a generation. */
interface Attempt {
  /**
   * Reads the next event.
   * @returns undefined after the last event
   * @throws RivuletError the failure of the generation, or the reason why the worker was closed
   */
  read(): Promise<GenerationEvent | undefined>
  /** Stops reading, which frees the worker. */
  leave(): void
}

async function startAttempt(
  worker: GenerationWorker,
  request: GenerateRequest,
  signal: AbortSignal,
  onClosed: () => void,
): Promise<Attempt> {
  const { closed } = worker
  const events = (await worker.generate(request)).getReader()
  const leaving = new AbortController()
  let isOver = false
  let failRead = () => {}

  function leave(): void {
    isOver = true
    leaving.abort()
    events.cancel(signal.reason).catch(() => {})
  }

  function handleClosing(): void {
    failRead()
    onClosed()
  }

  signal.addEventListener('abort', leave, { signal: leaving.signal })
  closed.addEventListener('abort', handleClosing, { signal: leaving.signal })
  // The signal may have aborted while the worker answered.
  if (signal.aborted) leave()

  /** Reads the next event. Events that arrived before the worker closed come first: the error waits for a later task. */
  function readEvent(): Promise<ReadableStreamReadResult<GenerationEvent>> {
    return new Promise((resolve, reject) => {
      failRead = () => setTimeout(() => reject(closed.reason))
      if (closed.aborted) failRead()
      events.read().then(resolve, reject)
    })
  }

  return {
    async read() {
      if (isOver) return undefined
      const { done, value } = await readEvent()
      if (!done) {
        isOver = value.kind === 'ended'
        return value
      }
      if (signal.aborted) return undefined
      throw new RivuletError('worker-failed', "The worker's stream stopped before the answer's end.")
    },
    leave,
  }
}
