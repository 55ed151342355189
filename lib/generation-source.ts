import type { RivuletError } from './contract/errors.js'
import type { Said } from './contract/options.js'
import type { GenerationEvent, ModelInfo } from './contract/worker-api.js'
import type { GenerationEnd } from './generation-record.js'

/** Where a generation runs, and what can end it from outside; all of it comes from the engine. */
export interface GenerationSource {
  /** The worker to ask; not called when `signal` is already aborted. */
  take(): Promise<GenerationWorker>
  /** Whether to ask again when a worker or its GPU is lost. */
  readonly canRecover: boolean
  /** The caller's: errors the stream with its reason. */
  readonly signal: AbortSignal | undefined
  /** The engine's: cancels, as `cancel()` does. */
  readonly disposed: AbortSignal
  /** Called once, when the generation is over. */
  readonly onEnd?: ((end: GenerationEnd) => void) | undefined
}

/** A loaded worker, for one generation. */
export interface GenerationWorker {
  readonly info: ModelInfo
  /** @param said what the stream has, when the request is sent again */
  generate(said: Said | undefined): Promise<ReadableStream<GenerationEvent>>
  /** The worker's end: what has arrived is still handed out, then its reason. */
  readonly closed: AbortSignal
  /** Ends the worker, which is good for nothing any more. */
  giveUp(reason: RivuletError): void
  /**
   * Ends the worker, and gives up its backend.
   * @returns whether another can take over; nothing happens where none can
   */
  moveOn(reason: RivuletError): boolean
}
