import { RivuletError } from './contract/errors.js'
import type { Prompt, RequestInput, RequestOptions } from './contract/request.js'
import type { ModelInfo, TokenChunk } from './contract/worker-api.js'
import type { GenerationResult } from './generation.js'
import type { LoadedWorker } from './start-worker.js'

/**
 * Watches an engine: pass it as `createEngine({ observer })`. All methods are optional and are called synchronously. If a
 * method throws, the page sees an uncaught error, and the engine and its streams continue.
 */
export interface EngineObserver {
  /** A model was loaded: the first one, or a replacement after a loss. From now on, `engine.info` is this `info`. */
  onLoad?(info: ModelInfo): void
  /** The model could not be loaded. Not called if the page aborted the loading. */
  onLoadError?(error: RivuletError): void
  /** With `host: 'shared'`: the number of engines that use the model has changed, in this tab and others. */
  onShare?(share: ObservedShare): void
  /** `engine.generate` was called. */
  onStart?(start: GenerationStart): void
  /**
   * A part of the prompt was computed, and the first token is not there yet. `onnx()` and `llamaCpp()` report this after each
   * part of a long prompt (32 tokens or more); the other backends report nothing. Without an observer that has this method, nothing is sent for it.
   */
  onPrefill?(prefill: ObservedPrefill): void
  /**
   * The reader got a chunk. A chunk that nobody reads is not reported. If the page awaits `result` before it reads the
   * stream, its chunks are reported after `onEnd`.
   */
  onChunk?(chunk: ObservedChunk): void
  /** The generation finished, failed or was cancelled. Called once for each `onStart`. */
  onEnd?(end: GenerationEnd): void
}

/** How a model is shared. */
export interface ObservedShare {
  /** The engines that use the model, or wait for it to be loaded, in all tabs. */
  readonly engines: number
}

/** A generation that starts. */
export interface GenerationStart {
  /** A random number that is the same in all reports of one generation. */
  readonly generation: number
  /** When `generate` was called, as a `performance.now()` value. */
  readonly startedAt: number
  readonly prompt: Prompt
  /** `chat`: the prompt goes through the model's chat template. `text`: the prompt is used as raw text. */
  readonly input: RequestInput['kind']
  /** The checked options, without the options that the caller left out. */
  readonly options: RequestOptions
  /** The model as it was when the generation started. */
  readonly info: ModelInfo
}

/** How much of a prompt is computed. */
export interface ObservedPrefill {
  readonly generation: number
  /** The tokens that are computed, or were in the KV cache. After a loss, the count starts again. */
  readonly computedTokens: number
  /** All tokens to compute: the prompt's and, after a loss, those of the answer so far. */
  readonly totalTokens: number
}

/** A chunk that the reader got. */
export interface ObservedChunk {
  readonly generation: number
  readonly chunk: TokenChunk
  /** Time from the call of `generate` until the chunk arrived on the page. */
  readonly arrivedMs: number
  /** Time from the call of `generate` until the reader got the chunk. */
  readonly readMs: number
  /** The number of chunks that arrived after this one and are not read yet: how far the model is ahead of its reader. */
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

/** How a generation ended. A failed generation also has usage and latency; `error.text` is the text generated so far. */
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
 * Returns the observer that a test put on the page's global object before the page's own scripts ran, as
 * `rivulet/playwright` does. A test needs this, because it cannot change the options that the page passes to `createEngine`.
 */
function findGlobalObserver(): EngineObserver | undefined {
  // TypeScript does not know this property, because a test adds it from outside of this library.
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

/** Returns a `load` that also reports each failure to the observer, unless the page aborted the loading. */
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

/** An observer that passes on everything to others. */
export interface CombinedObserver extends Required<EngineObserver> {
  /** True if one of them has `onPrefill`. */
  readonly readsPrefill: boolean
}

/** Returns one observer that calls all `observers` in order, and then the page's global observer, if there is one. */
export function combineObservers(observers: readonly EngineObserver[]): CombinedObserver {
  const call =
    <Method extends ObserverMethod>(method: Method) =>
    (report: Parameters<Required<EngineObserver>[Method]>[0]) => {
      const global = findGlobalObserver()
      for (const observer of global ? [...observers, global] : observers) {
        // TypeScript cannot see that `report` is the parameter of this `method`.
        const run = observer[method] as ((report: unknown) => void) | undefined
        callObserver(() => run?.call(observer, report))
      }
    }
  return {
    onLoad: call('onLoad'),
    onLoadError: call('onLoadError'),
    onShare: call('onShare'),
    onStart: call('onStart'),
    onPrefill: call('onPrefill'),
    get readsPrefill() {
      return [...observers, findGlobalObserver()].some((observer) => observer?.onPrefill !== undefined)
    },
    onChunk: call('onChunk'),
    onEnd: call('onEnd'),
  }
}
