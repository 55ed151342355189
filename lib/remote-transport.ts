/** A protocol between `remote()` and a server: what `sse()` and `responses()` return. */
export interface RemoteTransport {
  readonly name: string
  /** Structured-cloneable; sent to the transport's worker. */
  readonly options: unknown
  /** The options of `remote()` that this transport cannot use, each with a sentence that says what to do instead. */
  readonly refused: Readonly<Record<string, string>>
  createWorker(): Worker
}
