import { createAnswerValue } from './answer-value.js'
import {
  checkPrefillRequest,
  checkPromptRequest,
  checkRequest,
  type CheckedRequest,
} from './check-request.js'
import { refuse } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import type { GenerateRequest, Prompt, Resume } from './contract/request.js'
import type { GenerationEvent, KeptPrefix, ModelInfo } from './contract/worker-api.js'
import { createRequest } from './create-request.js'
import type { Engine } from './engine.js'
import { keepWorker, type Recovery } from './keep-worker.js'
import type { CombinedObserver } from './observer.js'
import type { GenerationSource } from './resilient-events.js'
import type { LoadedWorker } from './start-worker.js'
import { TokenStream } from './token-stream.js'
import { unloadWorker } from './unload-worker.js'
import { openWatched } from './watch-progress.js'
import { readOnlyChunk, readWorkerStream } from './worker-stream.js'

/** The workers of an engine. */
export interface EngineWorkers {
  /** The worker that the next generation uses, as far as that is known. It may be dead. */
  readonly current: LoadedWorker
  readonly all: readonly LoadedWorker[]
  /** Returns what `create` returns for a model that a generation can use. @throws the error of `create` for the first choice */
  accept<Value>(create: (info: ModelInfo) => Value): Value
  /**
   * Returns a function that takes the worker of a generation, and of each attempt to continue it.
   * @param order the number of the generation: those that wait for a worker get it in this order
   */
  open(order: number, prompt: Prompt): GenerationSource['takeWorker']
  /** Returns the worker of a call that is no generation: the first choice that suits, otherwise the first choice. */
  take(order: number, suits: (info: ModelInfo) => boolean): Promise<LoadedWorker>
}

/** Creates the workers of an engine. @param signal aborted when the engine is disposed */
export type OpenWorkers = (signal: AbortSignal) => EngineWorkers

/** Opens an engine with one worker at a time. @param recovery if undefined, a dead worker is not replaced */
export function openKeptWorker(first: LoadedWorker, recovery: Recovery | undefined): OpenWorkers {
  return (signal) => {
    const kept = keepWorker(first, recovery, signal)
    return {
      get current() {
        return kept.current
      },
      get all() {
        return [kept.current]
      },
      accept: (create) => create(kept.current.info),
      open: (order) => async () => {
        const loaded = await kept.take(order)
        const { connection, info } = loaded
        return {
          info,
          generate: (request) => openWatched(loaded, request, (worker) => worker.generate(request)),
          closed: connection.closed,
          terminate: connection.terminate,
          switchBackend: (reason) => kept.switchBackend(connection, reason),
        }
      },
      take: (order) => kept.take(order),
    }
  }
}

/**
 * Creates the engine of workers with loaded models.
 * @param canRecover true if a generation continues after a loss
 */
export function createLoadedEngine(
  openWorkers: OpenWorkers,
  canRecover: boolean,
  observer: CombinedObserver,
): Engine {
  const disposing = new AbortController()
  const workers = openWorkers(disposing.signal)
  observer.onLoad(workers.current.info)
  /** Each interrupts a running prefill, because a generation needs the model. */
  const prefills = new Set<() => void>()
  let generations = 0
  let disposed: Promise<void> | undefined

  async function dispose(): Promise<void> {
    const connections = workers.all.map(({ connection }) => connection)
    disposing.abort(disposedError())
    await Promise.all(connections.map((connection) => unloadWorker(connection, disposedError())))
  }

  const disposeOnce = () => (disposed ??= dispose())

  return {
    get info() {
      return workers.current.info
    },
    get skipped() {
      return workers.current.skipped
    },
    generate(prompt, options) {
      const checked = checkRequest(prompt, options)
      const create = (info: ModelInfo) => ({ info, ...createRequest(checked, info) })
      const { info: currentInfo, input, options: sampling } = workers.accept(create)
      if (disposed) throw disposedError()
      for (const interrupt of prefills) interrupt()
      const order = generations++
      const generation = drawNumber()
      const startedAt = performance.now()
      const drawSeed = drawOnce()
      const start = { generation, startedAt, prompt, input: input.kind, options: sampling }
      observer.onStart({ ...start, info: currentInfo })
      return new TokenStream({
        takeWorker: workers.open(order, prompt),
        // The engine may have recovered in the meantime, so this model can differ from the model above.
        createRequest: (current, resume) => ({
          ...addResume(createRequest(checked, current), current, resume, drawSeed),
          reportsPrefill: observer.readsPrefill,
        }),
        canRecover,
        answerValue: createAnswerValue(
          checked.options.responseFormat,
          options?.responseFormat,
          checked.assistantPrefix,
        ),
        signal: options?.signal,
        disposed: disposing.signal,
        onPrefill(progress) {
          observer.onPrefill({ generation, ...progress })
        },
        onChunk({ chunk, arrivedAt, ...counts }) {
          const readMs = performance.now() - startedAt
          observer.onChunk({ generation, chunk, arrivedMs: arrivedAt - startedAt, readMs, ...counts })
        },
        onEnd(outcome, info = workers.current.info) {
          observer.onEnd({ generation, info, outcome })
        },
      })
    },
    async countTokens(prompt, options) {
      const checked = checkPromptRequest('countTokens()', prompt, options)
      if (disposed) throw disposedError()
      const order = generations++
      return readWorkerStream({
        takeWorker: () => workers.take(order, ({ supports }) => supports.tokenCounting),
        createRequest: ({ info }) => createCountRequest(checked, info),
        open: (worker, request) => worker.countTokens(request),
        read: readOnlyChunk,
        canRecover,
        signals: [options?.signal, disposing.signal],
      })
    },
    async prefill(prompt, options) {
      const { checked, keepPrefix } = checkPrefillRequest(prompt, options)
      if (disposed) throw disposedError()
      const order = generations++
      const interrupted = new AbortController()
      const interrupt = () => interrupted.abort()
      prefills.add(interrupt)
      try {
        const kept = await readWorkerStream({
          takeWorker: () =>
            workers.take(order, ({ supports }) => (keepPrefix ? supports.keptPrefixes : supports.prefill)),
          createRequest: ({ info }) => createPrefillRequest(checked, info, keepPrefix),
          open: (worker, request) => worker.generate(request),
          read: readKeptPrefix,
          canRecover,
          signals: [options?.signal, disposing.signal, interrupted.signal],
        })
        return { isComplete: true, ...(keepPrefix && kept) }
      } catch (error) {
        options?.signal?.throwIfAborted()
        if (!interrupted.signal.aborted || disposed) throw error
        const reason = 'A generation interrupted the prefill.'
        return { isComplete: false, ...(keepPrefix && { isKept: false, reason }) }
      } finally {
        prefills.delete(interrupt)
      }
    },
    dispose: disposeOnce,
    [Symbol.asyncDispose]: disposeOnce,
  }
}

/** @throws RivuletError `invalid-option` if the model cannot count tokens, or does not support the request */
function createCountRequest(checked: CheckedRequest, info: ModelInfo): GenerateRequest {
  if (info.supports.tokenCounting) return createRequest(checked, info)
  return refuse(
    `${info.backend} cannot count tokens. Use onnx() or llamaCpp(), or read "usage" of an answer's result.`,
  )
}

/** @throws RivuletError `invalid-option` if the model cannot compute or keep a prompt ahead, or does not support the request */
function createPrefillRequest(
  checked: CheckedRequest,
  info: ModelInfo,
  keepPrefix: boolean,
): GenerateRequest {
  const { backend, supports } = info
  if (!supports.prefill)
    refuse(`${backend} cannot compute a prompt ahead of its answer. Use onnx() or llamaCpp().`)
  if (keepPrefix && !supports.keptPrefixes) {
    refuse(
      `${backend} cannot keep prefixes with this model. Use onnx() with another dtype than q8, or leave "keepPrefix" out.`,
      'keepPrefix',
    )
  }
  return { ...createRequest(checked, info), prefillOnly: true, keepsPrefix: keepPrefix }
}

/** Reads the steps of a prefill. */
async function readKeptPrefix(events: ReadableStreamDefaultReader<GenerationEvent>): Promise<KeptPrefix> {
  let prefix: KeptPrefix = { isKept: false, reason: 'The model did not keep it.' }
  for (;;) {
    const { done, value } = await events.read()
    if (done) return prefix
    if (value.kind === 'kept') ({ prefix } = value)
  }
}

/**
 * Adds to a request the answer to resume, and a seed if the model needs one.
 * @param drawSeed returns the seed. It must be the same after a loss if the model's continuation depends on the seed
 * @throws RivuletError `invalid-option` if the model cannot resume an answer
 */
function addResume(
  request: GenerateRequest,
  { backend, supports }: ModelInfo,
  resume: Resume | undefined,
  drawSeed: () => number,
): GenerateRequest {
  if (resume && !supports.continuation) refuse(`${backend} cannot resume an answer with this model.`)
  const seed = request.options.seed ?? (supports.seededContinuation ? drawSeed() : undefined)
  return { ...request, resume, options: { ...request.options, ...(seed !== undefined && { seed }) } }
}

/** Returns a random integer from 0 to 2^32 - 1. */
function drawNumber(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!
}

/** Returns a function that draws a random number at its first call and returns the same number at each later call. */
function drawOnce(): () => number {
  let drawn: number | undefined
  return () => (drawn ??= drawNumber())
}

function disposedError(): RivuletError {
  return new RivuletError('engine-disposed', 'The engine was disposed. Create a new one with createEngine().')
}
