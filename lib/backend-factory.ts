import type { ModelSource } from './locate-model.js'

/** Says whether a backend can run in this browser. If the backend cannot run, `reason` says why. */
export type BackendAvailability =
  | {
      readonly isAvailable: true
      /** True if the backend would compute on the CPU instead of a GPU. Other local backends of a list are tried first. */
      readonly isSlow?: boolean
    }
  | { readonly isAvailable: false; readonly reason: string }

/** Where a backend's model comes from. */
export type BackendModel =
  /** The model is the option `model` of `createEngine`. */
  | { readonly kind: 'engine' }
  /** The model is the backend's own option `model`. */
  | { readonly kind: 'source'; readonly source: ModelSource }
  /** The backend's options name a model whose files are not in the model store: a server's model, or one of WebLLM's. */
  | { readonly kind: 'named' }

/** A backend that is passed to `createEngine`. It creates the backend's worker, and holds the options for that worker. */
export interface BackendFactory {
  readonly name: string
  /** The backend's options. They are structured-cloneable, and are sent to the worker with every load. */
  readonly options: unknown
  readonly model: BackendModel
  /** True if the model runs on a server, and not on the user's device. @default false */
  readonly isServer?: boolean | undefined
  /** True if a model is one file: a URL without a slash at its end is then a file, whatever its name. @default false */
  readonly takesFile?: boolean | undefined
  checkAvailability(): Promise<BackendAvailability>
  createWorker(): Worker
}

/** Returns where the model comes from, for a backend with its own option `model`. `source` is that option's value. */
export function chooseModel(source: ModelSource | undefined): BackendModel {
  return source === undefined ? { kind: 'engine' } : { kind: 'source', source }
}
