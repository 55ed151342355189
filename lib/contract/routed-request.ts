// The messages between the service worker of `openaiRoute` and a page of `serveOpenai`.

/** A page asks the service worker for the page's client id, which the page cannot read. The transferred port takes the reply. */
export const introduction = { kind: 'rivulet-openai-introduction' } as const

/** The service worker passes a request to a page. The transferred port takes the stream of `AnswerPart`s. */
export interface RoutedRequest {
  readonly kind: 'rivulet-openai-request'
  readonly url: string
  readonly method: string
  readonly body: string
  /** A lock that the service worker holds until the answer ends. If the browser stops the service worker, the lock is freed. */
  readonly lifeLock: string
}

/** A page reports that an answer is still running. Each report is an event that keeps the service worker alive. */
export interface AnswerRunning {
  readonly kind: 'rivulet-openai-answer-running'
  readonly lifeLock: string
}

/** The first part is the only `head`. */
export type AnswerPart =
  | {
      readonly kind: 'head'
      readonly status: number
      readonly headers: readonly (readonly [string, string])[]
    }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }

const servingPrefix = 'rivulet-openai-serving'

/** The name of a serving page's lock. By it, the service worker finds the page and notices when the page is closed. */
export function nameServingLock(registrationScope: string, clientId: string): string {
  return `${servingPrefix} ${clientId} ${registrationScope}`
}

/** The client id in a name made by `nameServingLock` for this registration; undefined for any other lock. */
export function readServingLock(name: string, registrationScope: string): string | undefined {
  const [prefix, clientId, scope] = name.split(' ')
  return prefix === servingPrefix && scope === registrationScope ? clientId : undefined
}
