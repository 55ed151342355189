/** What the worker is told of `remote()`'s options. */
export interface RemoteLoadOptions {
  /** Absolute, with a slash at its end. */
  readonly baseUrl: string
  readonly model: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number
  readonly canContinue: boolean
}
