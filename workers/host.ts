import { createDeferred } from '../lib/contract/create-deferred.js'
import { RivuletError, asRivuletError } from '../lib/contract/errors.js'
import { leaveCancel } from '../lib/contract/leave-cancel.js'
import { holdLifeLock } from '../lib/contract/life-lock.js'
import type { GenerateRequest } from '../lib/contract/request.js'
import { transferStream } from '../lib/contract/stream-transfer.js'
import type {
  GenerationEvent,
  LoadEvent,
  LoadProgress,
  LoadRequest,
  WorkerApi,
} from '../lib/contract/worker-api.js'
import type { Backend } from './backend.js'
import { waitForNotice } from './gpu-loss.js'
import { createQueue, type Queue, type Turn } from './queue.js'

/** Whether a model is loaded. No other place, on either thread, stores this. */
type ModelState =
  | { readonly kind: 'empty' | 'loading' | 'unloaded' }
  | { readonly kind: 'ready'; readonly queue: Queue }

/** The worker's methods, for one client. */
export interface HostApi extends Omit<WorkerApi, 'readStatus'> {
  /** `Backend.stepsInFlight` */
  readonly stepsInFlight: 0 | 1
  /** @throws RivuletError `engine-disposed` if no model is loaded */
  checkLoaded(): void
}

/** Implements the worker's API on a backend: loads one model, queues generations, turns steps into events. */
export function createHost<Options>(backend: Backend<Options>): HostApi {
  const lost = createDeferred<RivuletError>()
  const unloaded = createDeferred<undefined>()
  let model: ModelState = { kind: 'empty' }

  async function* load(
    request: LoadRequest<Options>,
    signal: AbortSignal,
  ): AsyncGenerator<LoadEvent, undefined> {
    if (model.kind !== 'empty') {
      throw new RivuletError('invalid-option', 'This worker has loaded a model already. Use a new worker.')
    }
    model = { kind: 'loading' }
    await holdLifeLock(request.lifeLock)
    yield* loadModel(request, signal)
    const reason = await Promise.race([lost.promise, unloaded.promise])
    if (reason) throw reason
  }

  async function* loadModel(
    request: LoadRequest<Options>,
    signal: AbortSignal,
  ): AsyncGenerator<LoadEvent, undefined> {
    const progress = createLatestValue<LoadProgress>()
    const context = { onProgress: progress.set, onLost: lost.resolve, signal }
    const loading = backend.load(request, context).then((info) => {
      model = { kind: 'ready', queue: createQueue(info.supports.concurrency) }
      return { kind: 'ready', info } as const
    })
    try {
      for (;;) {
        const ready = await Promise.race([loading, progress.whenSet()])
        const latest = progress.take()
        if (latest) yield { kind: 'progress', progress: latest }
        if (ready) return yield ready
      }
    } catch (error) {
      model = { kind: 'empty' }
      throw asRivuletError(error, 'model-invalid', 'The model could not be loaded')
    }
  }

  /** Returns the queue of the loaded model. @throws RivuletError `engine-disposed` */
  function takeQueue(): Queue {
    if (model.kind === 'ready') return model.queue
    throw new RivuletError('engine-disposed', 'This worker has no loaded model.')
  }

  async function* generate(
    request: GenerateRequest,
    turn: Turn,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent, undefined> {
    const entered = performance.now()
    await turn.ready
    const queueMs = performance.now() - entered
    try {
      signal.throwIfAborted()
      const finishReason = yield* backend.generate(request, { signal, queueMs })
      // Lets the next generation start now, and not only when the reader asks for the end of this generation.
      turn.leave()
      yield { kind: 'ended', finishReason }
    } catch (error) {
      throw signal.aborted ? error : await explainFailure(error)
    } finally {
      turn.leave()
    }
  }

  async function* count(
    request: GenerateRequest,
    turn: Turn | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<number, undefined> {
    await turn?.ready
    try {
      signal.throwIfAborted()
      if (!backend.tokenCounter)
        throw new RivuletError(
          'invalid-option',
          'This backend cannot count tokens. Use onnx() or llamaCpp().',
        )
      yield await backend.tokenCounter.count(request, signal)
    } catch (error) {
      throw signal.aborted ? error : await explainFailure(error)
    } finally {
      turn?.leave()
    }
  }

  async function explainFailure(thrown: unknown): Promise<RivuletError> {
    if (thrown instanceof RivuletError) return thrown
    const loss = await Promise.race([lost.promise, waitForNotice()])
    return loss ?? asRivuletError(thrown, 'generation-failed', 'The model failed while it generated')
  }

  return {
    get stepsInFlight() {
      return backend.stepsInFlight
    },
    checkLoaded: () => void takeQueue(),
    load(request) {
      const abort = new AbortController()
      // The cast is safe: the backend's factory on the page created and checked these options.
      const events = load(request as LoadRequest<Options>, abort.signal)
      return transferStream(streamEvents(events, (reason) => abort.abort(reason)))
    },
    generate(request) {
      const abort = new AbortController()
      const turn = takeQueue().enter(abort.signal)
      const events = generate(request, turn, abort.signal)
      // `turn.leave` here is for a generation that is cancelled before its first event is read.
      const stream = streamEvents(events, (reason) => abort.abort(reason), turn.leave)
      return transferStream(stream, backend.stepsInFlight)
    },
    countTokens(request) {
      const abort = new AbortController()
      const turn = backend.tokenCounter?.needsTurn ? takeQueue().enter(abort.signal) : undefined
      const counts = count(request, turn, abort.signal)
      return transferStream(streamEvents(counts, (reason) => abort.abort(reason), turn?.leave))
    },
    /** Frees the model when no generation runs any more. The page cancels the generations first. */
    async unload() {
      if (model.kind !== 'ready') return
      const { queue } = model
      model = { kind: 'unloaded' }
      await queue.whenIdle()
      await backend.unload()
      unloaded.resolve(undefined)
    },
  }
}

/** Creates a stream that computes each event only when it is read. `onCancelled` runs after the generator has stopped. */
function streamEvents<T>(
  events: AsyncGenerator<T, undefined>,
  onCancel: (reason: unknown) => void,
  onCancelled = () => {},
): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await events.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel(reason) {
        await leaveCancel()
        onCancel(reason)
        await events.return(undefined).catch(() => {})
        onCancelled()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Creates a slot that keeps only the newest value, for a reader that may be slower than the writer. */
function createLatestValue<T>(): {
  set(value: T): void
  /** Resolves when there is a value to take. */
  whenSet(): Promise<undefined>
  /** Returns the newest value and removes it. */
  take(): T | undefined
} {
  let latest: { readonly value: T } | undefined
  let wake = () => {}
  return {
    set(value) {
      latest = { value }
      wake()
    },
    async whenSet() {
      if (!latest) await new Promise<void>((resolve) => (wake = resolve))
      return undefined
    },
    take() {
      const taken = latest?.value
      latest = undefined
      return taken
    },
  }
}
