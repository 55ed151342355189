// What the service worker of `openaiRoute` and a page of `serveOpenai` say to each other.

/** A page asks the service worker over the port that comes along for its own client id, which it cannot know by itself. */
export const introduction = { kind: 'rivulet-openai-introduction' } as const

/** The service worker asks a page over the port that comes along, which takes the stream of the answer's parts. */
export interface RoutedRequest {
  readonly kind: 'rivulet-openai-request'
  readonly url: string
  readonly method: string
  readonly body: string
  /** Held by the service worker while it waits for the answer: it has no other way to tell that the browser stopped it. */
  readonly lifeLock: string
}

/** A page tells the service worker that an answer goes on, which is one more event to stay awake for. */
export interface AnswerGoesOn {
  readonly kind: 'rivulet-openai-goes-on'
  readonly lifeLock: string
}

/** The head comes first, and once. */
export type AnswerPart =
  | {
      readonly kind: 'head'
      readonly status: number
      readonly headers: readonly (readonly [string, string])[]
    }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }

const servingPrefix = 'rivulet-openai-serving'

/** The lock of a page that serves, by which the service worker finds it and sees it go. */
export function nameServingLock(registrationScope: string, clientId: string): string {
  return `${servingPrefix} ${clientId} ${registrationScope}`
}

/** The client id of the page that holds this lock, where it is one of `nameServingLock` for this registration. */
export function readServingLock(name: string, registrationScope: string): string | undefined {
  const [prefix, clientId, scope] = name.split(' ')
  return prefix === servingPrefix && scope === registrationScope ? clientId : undefined
}
