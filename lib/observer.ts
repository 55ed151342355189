import { RivuletError } from './contract/errors.js'
import type { Prompt, RequestInput, RequestOptions } from './contract/request.js'
import type { ModelInfo, TokenChunk } from './contract/worker-api.js'
import type { GenerationResult } from './generation.js'
import type { LoadedWorker } from './start-worker.js'

/**
 * Watches an engine: pass it as `createEngine({ observer })`. All methods are optional and are called synchronously; an
 * error that one throws is reported as an uncaught error of the page and does not reach the stream.
 */
export interface EngineObserver {
  /** The model is loaded: at first, and again after each loss. `engine.info` is this one's from now on. */
  onLoad?(info: ModelInfo): void
  /** Loading failed. Not called if the page aborted it. */
  onLoadError?(error: RivuletError): void
  /** `engine.generate` was called. */
  onStart?(start: GenerationStart): void
  /**
   * The reader got a chunk. A chunk that nobody reads is not reported. If the page awaits `result` before it reads the
   * stream, chunks follow `onEnd`.
   */
  onChunk?(chunk: ObservedChunk): void
  /** The generation ended, in any way. Called once for each `onStart`. */
  onEnd?(end: GenerationEnd): void
}

/** A generation that starts. */
export interface GenerationStart {
  /** The same number in all reports of one generation; random. */
  readonly generation: number
  /** Time of the call, a `performance.now()` value. */
  readonly startedAt: number
  readonly prompt: Prompt
  /** `chat`: through the model's chat template; `text`: as raw text. */
  readonly input: RequestInput['kind']
  /** The checked options, without those that were left out. */
  readonly options: RequestOptions
  /** The model as it was when the generation started. */
  readonly info: ModelInfo
}

/** A chunk that the reader got. */
export interface ObservedChunk {
  readonly generation: number
  readonly chunk: TokenChunk
  /** Time from the call of `generate` until the chunk arrived on the page. */
  readonly arrivedMs: number
  /** Time from the call of `generate` until the reader got it. */
  readonly readMs: number
  /** Chunks that had arrived after this one and were not read yet: how far the model is ahead of its reader. */
  readonly unreadChunks: number
  /** How often the generation was recovered so far. */
  readonly recoveries: number
}

/** A generation that is over. */
export interface GenerationEnd {
  readonly generation: number
  /** The model that was in use when the generation ended. If no model had been used yet, the engine's model. */
  readonly info: ModelInfo
  readonly outcome: GenerationOutcome
}

/** How a generation ended. A failed one has usage and latency too; `error.text` is its text. */
export type GenerationOutcome =
  | { readonly kind: 'finished'; readonly result: GenerationResult }
  | {
      readonly kind: 'failed'
      readonly error: RivuletError
      readonly figures: Pick<GenerationResult, 'usage' | 'latency' | 'recoveries'>
    }

type ObserverMethod = keyof EngineObserver

const globalKey = Symbol.for('rivulet.observer')

/**
 * The observer that a test put on the page's global object before the page's own scripts ran, as `rivulet/playwright`
 * does: a test cannot change the options that the page passes to `createEngine`.
 */
function findGlobalObserver(): EngineObserver | undefined {
  // The test that put it there is outside of this library's types.
  return (globalThis as { readonly [globalKey]?: EngineObserver })[globalKey]
}

/** Runs a callback of the page. If it throws, the page sees an uncaught error, and the library continues. */
export function callObserver(run: () => void): void {
  try {
    run()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** Reports each failure of `load` to the observer, unless the page aborted it. */
export function observeLoadErrors<Arguments extends readonly [unknown, AbortSignal | undefined]>(
  load: (...parameters: Arguments) => Promise<LoadedWorker>,
  { onLoadError }: Required<EngineObserver>,
): (...parameters: Arguments) => Promise<LoadedWorker> {
  return async (...parameters) => {
    const [, signal] = parameters
    try {
      return await load(...parameters)
    } catch (error) {
      if (error instanceof RivuletError && !signal?.aborted) onLoadError(error)
      throw error
    }
  }
}

/** One observer that calls all of them, in order. */
export function combineObservers(observers: readonly EngineObserver[]): Required<EngineObserver> {
  const call =
    <Method extends ObserverMethod>(method: Method) =>
    (report: Parameters<Required<EngineObserver>[Method]>[0]) => {
      const global = findGlobalObserver()
      for (const observer of global ? [...observers, global] : observers) {
        // The method and its report have the same name in the type's parameters.
        const run = observer[method] as ((report: unknown) => void) | undefined
        callObserver(() => run?.call(observer, report))
      }
    }
  return {
    onLoad: call('onLoad'),
    onLoadError: call('onLoadError'),
    onStart: call('onStart'),
    onChunk: call('onChunk'),
    onEnd: call('onEnd'),
  }
}
