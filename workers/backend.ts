import type { RivuletError } from '../lib/contract/errors.js'
import type { GenerateRequest } from '../lib/contract/request.js'
import type { GenerationStep, LoadProgress, LoadRequest, ModelInfo } from '../lib/contract/worker-api.js'

/** What a backend reports and obeys while it loads a model. */
interface LoadContext {
  onProgress(progress: LoadProgress): void
  /** The loaded model can no longer compute, and loading it again may help: `device-lost`. */
  onLost(error: RivuletError): void
  readonly signal: AbortSignal
}

/** What a backend gets beside the request. */
export interface GenerateContext {
  /** Ends the generation before its next step. */
  readonly signal: AbortSignal
  /** Time that the request spent in the queue, for the `started` step. */
  readonly queueMs: number
}

/** The interface that every runtime implements. The host calls `load` once, and `generate` only on a loaded model. */
export interface Backend<Options> {
  /** How many steps the loaded model computes before they are requested: the reader's window is smaller by this number. */
  readonly stepsInFlight: 0 | 1
  /** @throws RivuletError any of the codes that `createEngine` names; the reason of `signal` */
  load(request: LoadRequest<Options>, context: LoadContext): Promise<ModelInfo>
  /**
   * Streams the answer, or continues it after `assistantPrefix` and `request.resume`. The page has checked the request
   * against `ModelInfo.supports`. Pull-driven: without a pull, no step beyond those in flight. Stops on `return()` and when
   * `signal` aborts.
   * @returns why the answer ended
   * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`; the reason of `signal`
   */
  generate(
    request: GenerateRequest,
    context: GenerateContext,
  ): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined>
  /** Frees the model. Called when no generation runs. */
  unload(): Promise<void>
}
