import type { ModelSource } from './locate-model.js'

/** A protocol between `remote()` and a server: what `sse()`, `responses()` and `grpcWeb()` return. */
export interface RemoteTransport {
  readonly name: string
  /** Structured-cloneable; sent to the transport's worker. */
  readonly options: unknown
  /** The folder with the tokenizer of the server's model, for a protocol that transfers tokens. */
  readonly tokenizer?: ModelSource | undefined
  /** The options of `remote()` that this transport cannot use, each with a sentence that says what to do instead. */
  readonly refused: Readonly<Record<string, string>>
  createWorker(): Worker
}
