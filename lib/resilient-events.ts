import { RivuletError, asRivuletError } from './contract/errors.js'
import type { GenerateRequest, Resume } from './contract/request.js'
import type { GenerationEvent, ModelInfo } from './contract/worker-api.js'

/** Where a generation runs. The engine provides it. */
export interface GenerationSource {
  /** The worker to use. Not called after `signal` aborts. */
  takeWorker(): Promise<GenerationWorker>
  /** @throws RivuletError `invalid-option` if this model does not support the request, or cannot resume */
  createRequest(info: ModelInfo, resume: Resume | undefined): GenerateRequest
  /** Whether to continue with another worker when a worker or its GPU is lost. */
  readonly canRecover: boolean
}

/** A loaded worker, for one generation. */
export interface GenerationWorker {
  readonly info: ModelInfo
  generate(request: GenerateRequest): Promise<ReadableStream<GenerationEvent>>
  /** Aborted when the worker is closed. Events that arrived before are still read. */
  readonly closed: AbortSignal
  terminate(reason: RivuletError): void
  /**
   * Terminates the worker and excludes its backend from further attempts.
   * @returns false if there is no other backend; then nothing has changed
   */
  switchBackend(reason: RivuletError): boolean
}

/** A generation's event, with the attempts that it took. */
export type ResilientEvent =
  | GenerationEvent
  /** A worker takes the generation, for the first time or after a loss. */
  | { readonly kind: 'opened'; readonly info: ModelInfo }
  /** The worker or its backend is lost; the next event comes from another one. */
  | { readonly kind: 'lost' }

/** The answer so far, as the reader of the events keeps it. */
export interface AnswerSoFar {
  /** @returns undefined if nothing was generated yet */
  resumeFor(info: ModelInfo): Resume | undefined
}

/** A generation that is lost this many times in a row without producing a token fails. */
const maxFruitlessAttempts = 3

/**
 * The events of one generation, across losses of workers, GPUs and backends. Pull-driven.
 * @param signal ends the iteration and frees the worker at once
 * @param onClosed called when the running worker is closed, also between two pulls
 * @throws RivuletError the reason of the loss that cannot be recovered, or any other failure
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
      worker = await takeWorker()
      if (signal.aborted) return
      const { info } = worker
      let request: GenerateRequest
      try {
        request = createRequest(info, answer.resumeFor(info))
      } catch (refusal) {
        isRefused = loss !== undefined
        // The caller asked for something that ran before: the loss is what went wrong.
        throw loss ?? refusal
      }
      yield { kind: 'opened', info }
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

  /** Terminates the lost worker. If the same backend would be lost again, or cannot resume, switches to another one. */
  function prepareNextAttempt(
    error: RivuletError,
    worker: GenerationWorker | undefined,
    isRefused: boolean,
  ): boolean {
    const isLost = !isRefused && (error.code === 'worker-failed' || error.code === 'device-lost')
    const canResume = !worker || worker.info.supports.continuation || !answer.resumeFor(worker.info)
    if (isLost && canResume && fruitlessAttempts < maxFruitlessAttempts) {
      fruitlessAttempts += 1
      // A lost GPU can be noticed here before the engine knows of it.
      worker?.terminate(error)
      return true
    }
    const mayHelp = isLost || isRefused || error.code === 'connection-failed'
    if (mayHelp && worker?.switchBackend(error)) {
      fruitlessAttempts = 0
      return true
    }
    if (isLost) worker?.terminate(error)
    return false
  }
}

/** One worker's run of a generation. */
interface Attempt {
  /**
   * @returns undefined after the end
   * @throws RivuletError the failure of the generation, or the reason of the worker's death
   */
  read(): Promise<GenerationEvent | undefined>
  /** Frees the worker. */
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
    events.cancel().catch(() => {})
  }

  function handleClosing(): void {
    failRead()
    onClosed()
  }

  signal.addEventListener('abort', leave, { signal: leaving.signal })
  closed.addEventListener('abort', handleClosing, { signal: leaving.signal })
  // Aborted while the worker answered.
  if (signal.aborted) leave()

  /** Events that arrived before the worker closed come first: they are read within one task. */
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
