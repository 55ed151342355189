import type { RivuletError } from '../lib/contract/errors.js'
import type { GenerateRequest } from '../lib/contract/options.js'
import type {
  CountedTokens,
  LoadProgress,
  LoadRequest,
  ModelInfo,
  TokenChunk,
} from '../lib/contract/worker-api.js'

/**
 * One thing that a backend did for a generation: the whole prompt computed (once, first), a token decoded, or, behind all
 * tokens, what a runtime has counted by itself.
 */
export type Step =
  | {
      readonly kind: 'prefilled'
      /** Undefined where a runtime counts by itself, and tells at the end. */
      readonly promptTokens: number | undefined
      readonly cachedPromptTokens: number
    }
  | ({ readonly kind: 'counted' } & CountedTokens)
  | ({ readonly kind: 'token' } & Omit<TokenChunk, 'index'>)

/** What every runtime implements. The host calls `load` once, and `generate` only on a loaded model. */
export interface Backend<Options> {
  readonly maxConcurrentGenerations: number
  /** How many steps the loaded model begins before they are asked for: the reader's window is smaller by as many. */
  readonly stepsInFlight: 0 | 1
  /**
   * Calls `onLost` when the loaded model can compute no more, for a reason that a new load may mend: `device-lost`.
   * @throws RivuletError any of the codes that `createEngine` names; the reason of `signal`
   */
  load(
    request: LoadRequest<Options>,
    context: {
      onProgress(progress: LoadProgress): void
      onLost(error: RivuletError): void
      signal: AbortSignal
    },
  ): Promise<ModelInfo>
  /**
   * Goes on behind `request.begun` and what `request.said` has, as it would have gone on then. Only a model whose
   * `canContinue` says so gets these.
   * Pull-driven: no pull, no step beyond those in flight. Returns why the text ended.
   * An aborted `signal` ends it before its next step; so does the iterator's `return()`.
   * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`; the reason of `signal`
   */
  generate(
    request: GenerateRequest,
    context: { signal: AbortSignal },
  ): AsyncGenerator<Step, 'stop' | 'length', undefined>
  /** Frees the model; called when no generation runs. */
  unload(): Promise<void>
}
