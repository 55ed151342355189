/** Whether a backend can run in this browser. */
export type BackendAvailability =
  | { readonly isAvailable: true }
  | { readonly isAvailable: false; readonly reason: string }

/** A backend as a value for `createEngine`: where its worker is and what it is told. */
export interface BackendFactory {
  readonly name: string
  /** Structured-cloneable; sent to the worker with every load. */
  readonly options: unknown
  /** It names its model itself, and takes none from `createEngine`. */
  readonly hasOwnModel?: boolean
  checkAvailability(): Promise<BackendAvailability>
  createWorker(): Worker
}
