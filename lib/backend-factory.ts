import type { ModelSource } from './contract/model-source.js'

/** Whether a backend can run in this browser. */
export type BackendAvailability =
  | {
      readonly isAvailable: true
      /** It would compute on the CPU what it is made to compute on a GPU: other local backends of a list go first. */
      readonly isSlow?: boolean
    }
  | { readonly isAvailable: false; readonly reason: string }

/** A backend as a value for `createEngine`: where its worker is and what it is told. */
export interface BackendFactory {
  readonly name: string
  /** Structured-cloneable; sent to the worker with every load. */
  readonly options: unknown
  /** Its model, where that is not `createEngine`'s; `named`: its options name it, as a server's. */
  readonly model?: ModelSource | 'named' | undefined
  checkAvailability(): Promise<BackendAvailability>
  createWorker(): Worker
}
