// Runs in an app's service worker.
import { RivuletError } from '../lib/contract/errors.js'
import { holdLifeLock, watchLifeLock } from '../lib/contract/life-lock.js'
import { describeFailure, writeError, type ErrorBody } from '../lib/contract/openai-error.js'
import { readRouteScope, type OpenaiRouteOptions } from '../lib/contract/openai-route-options.js'
import {
  introduction,
  nameServingLock,
  readServingLock,
  type AnswerGoesOn,
  type AnswerPart,
  type RoutedRequest,
} from '../lib/contract/routed-request.js'
import { writeDone, writeFailure } from '../lib/contract/server-sent-events.js'
import { receiveStream } from '../lib/contract/stream-transfer.js'

export type { OpenaiRouteOptions } from '../lib/contract/openai-route-options.js'

// The compiler's types are those of a dedicated worker.
const worker = self as unknown as ServiceWorkerGlobalScope

/**
 * Serves OpenAI's API below a path of this origin, from a page that has called `serveOpenai`. Answers every `fetch` of the
 * pages, frames and workers that this service worker controls. Call it when the service worker's script first runs, before
 * you add other `fetch` listeners.
 *
 *     import { openaiRoute } from 'rivulet/openai-route'
 *     openaiRoute()
 *     // Without this, pages that are already open are served only after a reload.
 *     self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))
 *
 * Navigations, forms and embedded resources, which other origins can cause, get status 403 with OpenAI's error shape. If no
 * page serves, the status is 503. If the serving page is closed during an answer, the stream ends with an error event.
 * Cancelling a stream cancels its generation. Aborting a request without streaming does not, if the browser does not report
 * the abort to service workers (Chromium 156).
 *
 * Browsers terminate service workers (w3c/ServiceWorker#1182). While an answer is streamed, the serving page's messages keep
 * the service worker alive. A stream that is not read for four minutes, or an answer without streaming that takes five
 * minutes, is cut off: the request fails and the generation is cancelled.
 * @throws RivuletError `invalid-option`
 */
export function openaiRoute(options: OpenaiRouteOptions = {}): void {
  const scope = readRouteScope(options)
  worker.addEventListener('message', (event) => {
    const { data, source, ports } = event as ExtendableMessageEvent & { readonly data: PageWord | undefined }
    if (data?.kind === introduction.kind && source instanceof Client) ports[0]?.postMessage(source.id)
    const over = data?.kind === 'rivulet-openai-goes-on' && answering.get(data.lifeLock)
    if (over) holdUntil(over, event)
  })
  worker.addEventListener('fetch', (event) => {
    const { origin, pathname } = new URL(event.request.url)
    if (origin !== worker.location.origin || !pathname.startsWith(scope)) return
    event.stopImmediatePropagation()
    const over = new AbortController()
    // The browser considers the event handled as soon as it has the response headers.
    holdUntil(over.signal, event)
    event.respondWith(route(event, over))
  })
}

type PageWord = typeof introduction | AnswerGoesOn

/** The answers in progress, by the names of their life locks. */
const answering = new Map<string, AbortSignal>()

/** Chromium terminates a service worker five minutes after an event; the next event restarts them (w3c/ServiceWorker#1182). */
const holdMs = 4 * 60_000

/** Keeps this service worker alive until the answer is over, for as long as one event can. */
function holdUntil(over: AbortSignal, event: ExtendableEvent): void {
  const isOver = new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }))
  event.waitUntil(Promise.race([isOver, new Promise((resolve) => setTimeout(resolve, holdMs))]))
}

async function route({ request, clientId }: FetchEvent, over: AbortController): Promise<Response> {
  try {
    const refusal = findRefusal(request, clientId)
    if (refusal !== undefined) return respond(writeError(403, 'foreign-client', refusal), over)
    const page = await findServingPage(clientId)
    if (!page) return respond(writeError(503, 'no-engine', noEngine), over)
    return await writeResponse(await askPage(page, request, over.signal), over)
  } catch (error) {
    return respond(describeFailure(error), over)
  }
}

const noEngine = 'No page of this origin serves an engine. Open a page that calls serveOpenai().'

function respond({ status, body }: ErrorBody, over: AbortController): Response {
  over.abort()
  return Response.json(body, { status })
}

/** Refuses what other origins can cause: they can navigate here and embed resources, but are not this worker's clients. */
function findRefusal({ mode, destination }: Request, clientId: string): string | undefined {
  if (mode === 'navigate') return 'This URL is an API endpoint, not a page. Request it with fetch().'
  if (mode === 'no-cors' || destination !== '')
    return 'This API endpoint cannot be embedded. Request it with fetch().'
  return clientId === '' ? 'Only pages of this origin can use this API.' : undefined
}

interface ServingPage {
  readonly client: Client
  /** The name of a Web Lock that is released when the page is closed or stops serving. */
  readonly lock: string
}

/** Prefers the requesting page if it serves, else the serving page that was focused last. */
async function findServingPage(clientId: string): Promise<ServingPage | undefined> {
  const { scope } = worker.registration
  const { held = [] } = await worker.navigator.locks.query()
  const serving = new Set(held.map(({ name = '' }) => readServingLock(name, scope)))
  if (serving.size === 0) return undefined
  // Sorted by most recent focus (Service Workers, clients.matchAll).
  const windows = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  const found = windows.filter(({ id }) => serving.has(id))
  const client = found.find(({ id }) => id === clientId) ?? found[0]
  return client && { client, lock: nameServingLock(scope, client.id) }
}

interface Answer {
  /** @returns undefined at the end and after a cancel. @throws RivuletError */
  read(): Promise<AnswerPart | undefined>
  cancel(): Promise<void>
}

/** Forwards a request to a page. The answer arrives as fast as it is read. */
async function askPage(page: ServingPage, request: Request, over: AbortSignal): Promise<Answer> {
  const { url, method, signal } = request
  const lifeLock = `rivulet-openai-answer ${crypto.randomUUID()}`
  const [body] = await Promise.all([request.text(), holdLifeLock(lifeLock, over)])
  answering.set(lifeLock, over)
  over.addEventListener('abort', () => answering.delete(lifeLock))
  const { port1, port2 } = new MessageChannel()
  const routedRequest: RoutedRequest = { kind: 'rivulet-openai-request', url, method, body, lifeLock }
  page.client.postMessage(routedRequest, [port2])
  const parts = receiveStream<AnswerPart>(port1, 1).getReader()
  const cancel = () => parts.cancel()
  let lost: RivuletError | undefined
  watchLifeLock(page.lock, over, () => {
    lost = new RivuletError(
      'engine-disposed',
      'The serving page was closed or stopped serving. Open a page that calls serveOpenai(), then retry.',
    )
    void cancel()
  })
  // The standard's way (Service Workers, Handle Fetch); Chromium 156 only cancels the response's body.
  if (signal.aborted) void cancel()
  else signal.addEventListener('abort', cancel, { signal: over })
  return {
    async read() {
      const { value } = await parts.read()
      if (lost) throw lost
      return value
    },
    cancel,
  }
}

async function writeResponse({ read, cancel }: Answer, over: AbortController): Promise<Response> {
  const head = await read()
  if (head?.kind !== 'head') throw new RivuletError('engine-disposed', 'The request was cancelled.')
  const headers = new Headers(head.headers.map(([name, value]): [string, string] => [name, value]))
  const isEventStream = headers.get('content-type')?.startsWith('text/event-stream') ?? false
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const part = await read()
          if (part?.kind === 'bytes') return controller.enqueue(part.bytes)
          controller.close()
        } catch (error) {
          if (isEventStream) endWithFailure(controller, error)
          else controller.error(error)
        }
        over.abort()
      },
      cancel() {
        over.abort()
        return cancel()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { status: head.status, headers })
}

function endWithFailure(controller: ReadableStreamDefaultController<Uint8Array>, error: unknown): void {
  controller.enqueue(writeFailure(error))
  controller.enqueue(writeDone())
  controller.close()
}
