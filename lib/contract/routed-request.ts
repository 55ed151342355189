// The messages between the service worker of `openaiRoute` and a page of `serveOpenai`.

/**
 * A page sends this message to ask the service worker for the page's client id, which the page cannot read itself. The
 * service worker replies through the transferred port.
 */
export const introduction = { kind: 'rivulet-openai-introduction' } as const

/**
 * The service worker sends this message to pass a request to a page. The page sends the answer through the transferred
 * port, as a stream of `AnswerPart`s.
 */
export interface RoutedRequest {
  readonly kind: 'rivulet-openai-request'
  readonly url: string
  readonly method: string
  readonly body: string
  /**
   * The name of a Web Lock that the service worker holds until the answer ends. If the browser stops the service worker,
   * the lock is freed.
   */
  readonly lifeLock: string
}

/** A page sends this message while an answer is running. Each message is an event that keeps the service worker alive. */
export interface AnswerRunning {
  readonly kind: 'rivulet-openai-answer-running'
  readonly lifeLock: string
}

/** A part of the answer. The first part is the `head`, with status and headers; all other parts are `bytes` of the body. */
export type AnswerPart =
  | {
      readonly kind: 'head'
      readonly status: number
      readonly headers: readonly (readonly [string, string])[]
    }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }

const servingPrefix = 'rivulet-openai-serving'

/**
 * Returns the name of a serving page's lock. With this lock, the service worker finds the page and notices when the page is
 * closed.
 */
export function nameServingLock(registrationScope: string, clientId: string): string {
  return `${servingPrefix} ${clientId} ${registrationScope}`
}

/** Returns the client id in a name made by `nameServingLock` for this registration; undefined for any other lock. */
export function readServingLock(name: string, registrationScope: string): string | undefined {
  const [prefix, clientId, scope] = name.split(' ')
  return prefix === servingPrefix && scope === registrationScope ? clientId : undefined
}
