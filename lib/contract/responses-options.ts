/** The options of `responses()`, as they are passed to the worker. */
export interface ResponsesLoadOptions {
  /** True if the server goes on with a response whose connection breaks. */
  readonly background: boolean
  /** True if the server keeps its responses, so that a conversation's earlier messages are not sent again. */
  readonly store: boolean
  /** Undefined without a WebSocket. */
  readonly webSocket: WebSocketLoadOptions | undefined
}

export interface WebSocketLoadOptions {
  readonly protocols: readonly string[]
  readonly query: Readonly<Record<string, string>>
  readonly multiplex: boolean
  /** In characters. */
  readonly maxUnreadLength: number
}
