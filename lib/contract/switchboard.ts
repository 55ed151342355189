/** The messages of the switchboard, the SharedWorker that connects the pages of an origin with the worker that holds a model. */

/** What a page sends to the switchboard. `key` names a model with all its options. */
export type ToSwitchboard =
  /** An engine wants to use the model. It is a member until its life lock is free. */
  | { readonly kind: 'join'; readonly key: string; readonly lifeLock: string }
  /** The page holds the model from now on, until the life lock is free. `seat` is a unique name. */
  | { readonly kind: 'serve'; readonly key: string; readonly seat: string; readonly lifeLock: string }
  /** A member wants a connection to the worker of `seat`. The message has the port of a channel. */
  | ({ readonly kind: 'connect'; readonly key: string; readonly seat: string } & SharedClient)
  /** The worker of `seat` does not answer any more, or lost its GPU. */
  | { readonly kind: 'depose'; readonly key: string; readonly seat: string }

/** What the switchboard sends to a page. */
export type FromSwitchboard =
  /** The switchboard runs. It holds the lock until it ends. */
  | { readonly kind: 'open'; readonly lifeLock: string }
  /** To the members: this seat serves now. */
  | { readonly kind: 'seat'; readonly seat: string }
  /** To the members: so many engines use the model. */
  | { readonly kind: 'engines'; readonly engines: number }
  /** To the seat: a member wants a connection. The message has a port. */
  | ({ readonly kind: 'connect' } & SharedClient)
  /** To the seat: a member asks it to end. */
  | { readonly kind: 'end' }

/** An engine that uses the model of another page. */
export interface SharedClient {
  /** The name of a Web Lock that the client holds until it ends. */
  readonly lifeLock: string
  /** How long the model stays loaded after this client, if it is the last one. */
  readonly lingerMs: number
}

/** The name of the Web Lock that the page holds whose worker has the model. Those that wait for it want to be the next. */
export function nameSeatLock(key: string): string {
  return `rivulet seat ${key}`
}
