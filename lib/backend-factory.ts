import type { ModelSource } from './locate-model.js'

/** Whether a backend can run in this browser. */
export type BackendAvailability =
  | {
      readonly isAvailable: true
      /** It would use the CPU for what is meant for a GPU: other local backends of a list are tried first. */
      readonly isSlow?: boolean
    }
  | { readonly isAvailable: false; readonly reason: string }

/** Where a backend's model comes from. */
export type BackendModel =
  /** From the `model` of `createEngine`. */
  | { readonly kind: 'engine' }
  /** From the backend's own option `model`. */
  | { readonly kind: 'source'; readonly source: ModelSource }
  /** The backend's options name it, and its files are not in the model store: a server's model, or one of WebLLM's. */
  | { readonly kind: 'named' }

/** A backend as a value for `createEngine`: its worker, and the options for it. */
export interface BackendFactory {
  readonly name: string
  /** Structured-cloneable; sent to the worker with every load. */
  readonly options: unknown
  readonly model: BackendModel
  checkAvailability(): Promise<BackendAvailability>
  createWorker(): Worker
}

/** The model of a backend that has an option `model` of its own. */
export function chooseModel(source: ModelSource | undefined): BackendModel {
  return source === undefined ? { kind: 'engine' } : { kind: 'source', source }
}
