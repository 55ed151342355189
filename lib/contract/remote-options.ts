/** The options of `remote()`, as they are passed to the worker. */
export interface RemoteLoadOptions {
  /** The absolute URL of the API, with a trailing slash. */
  readonly baseUrl: string
  readonly model: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number
  readonly canContinue: boolean
}
