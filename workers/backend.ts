import type { RivuletError } from '../lib/contract/errors.js'
import type { GenerateRequest } from '../lib/contract/request.js'
import type {
  AnswerEnd,
  GenerationStep,
  LoadProgress,
  LoadRequest,
  WorkerModelInfo,
} from '../lib/contract/worker-api.js'

/** What the host passes to a backend that loads a model: callbacks for its reports, and a signal to abort. */
interface LoadContext {
  onProgress(progress: LoadProgress): void
  /** Reports `device-lost`: the loaded model can no longer compute, and loading it again may help. */
  onLost(error: RivuletError): void
  readonly signal: AbortSignal
}

/** What the host passes to `generate` in addition to the request. */
export interface GenerateContext {
  /** Ends the generation before its next step when the signal is aborted. */
  readonly signal: AbortSignal
  /** Milliseconds that the request spent in the queue. The backend reports them in the `started` step. */
  readonly queueMs: number
}

/** Counts the tokens of prompts, with the loaded model's template and tokenizer. */
interface TokenCounter {
  /** True if the runtime cannot count while it generates. A count then waits in the queue. */
  readonly needsTurn: boolean
  /**
   * Returns the number of prompt tokens that `generate` would report for the request.
   * @throws RivuletError `invalid-option`, `chat-template-failed`, `generation-failed`; the reason of `signal`
   */
  count(request: GenerateRequest, signal: AbortSignal): Promise<number>
}

/** The interface that every runtime implements. The host calls `load` once, and `generate` only on a loaded model. */
export interface Backend<Options> {
  /**
   * How many steps the loaded model computes before they are requested. The reader gets that many fewer credits. A backend may compute one
   * step more while each takes less than 2 ms.
   */
  readonly stepsInFlight: 0 | 1
  /**
   * Loads the model.
   * @throws RivuletError with any of the codes that `createEngine` names; the reason of `signal`
   */
  load(request: LoadRequest<Options>, context: LoadContext): Promise<WorkerModelInfo>
  /**
   * Streams the answer, or continues it after `assistantPrefix` and `request.resume`. The page has checked the request
   * against `ModelInfo.supports`. Computes no step before it is requested, except `stepsInFlight` steps. Stops on
   * `return()` and when `signal` aborts.
   * @returns why the answer ended
   * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`; the reason of `signal`
   */
  generate(
    request: GenerateRequest,
    context: GenerateContext,
  ): AsyncGenerator<GenerationStep, AnswerEnd, undefined>
  /** Counts tokens. Undefined for a runtime that cannot (`ModelInfo.supports.tokenCounting`). */
  readonly tokenCounter?: TokenCounter
  /** Frees the model. The host calls this only when no generation runs. */
  unload(): Promise<void>
}
