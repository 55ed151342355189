// Runs in an app's service worker.
import { RivuletError } from '../lib/contract/errors.js'
import { holdLifeLock, watchLifeLock } from '../lib/contract/life-lock.js'
import {
  describeFailure,
  respondWithError,
  writeError,
  type ErrorBody,
} from '../lib/contract/openai-error.js'
import { readRouteScope, type OpenaiRouteOptions } from './openai-route-options.js'
import {
  introduction,
  nameServingLock,
  readServingLock,
  type AnswerRunning,
  type AnswerPart,
  type RoutedRequest,
} from '../lib/contract/routed-request.js'
import { writeDone, writeFailure } from '../lib/contract/server-sent-events.js'
import { receiveStream } from '../lib/contract/stream-transfer.js'

export type { OpenaiRouteOptions } from './openai-route-options.js'

// TypeScript's library declares one type of `self` for all kinds of workers.
const worker = globalThis as unknown as ServiceWorkerGlobalScope

/**
 * Answers the requests of OpenAI's API below a path of this origin, with the engine of a page that called `serveOpenai`.
 * This includes every such `fetch` of the pages, frames and workers that this service worker controls. Call `openaiRoute`
 * while the service worker's script first runs, before you add other `fetch` listeners.
 *
 *     import { openaiRoute } from 'rivulet/openai-route'
 *     openaiRoute()
 *     // Without this, pages that are already open are answered only after a reload.
 *     self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))
 *
 * Navigations, forms and embedded resources can come from other origins. They get status 403 with an error in OpenAI's
 * format. If no page serves, the status is 503. If the serving page is closed during a streamed answer, the stream ends with
 * an error event. If a client cancels a streamed answer, the generation is cancelled. If a client aborts an answer that is
 * not streamed, the generation is cancelled only where the browser reports the abort to service workers (Chromium 156 does
 * not).
 *
 * Browsers stop service workers (w3c/ServiceWorker#1182). While an answer streams, the page's reports keep the service
 * worker alive. But an answer that nobody reads for four minutes, or an answer that is not streamed and takes five minutes,
 * is cut off: the request fails, and the generation is cancelled.
 * @throws RivuletError `invalid-option`; `backend-unavailable` outside of a service worker
 */
export function openaiRoute(options: OpenaiRouteOptions = {}): void {
  const scope = readRouteScope(options)
  if (!('registration' in worker)) {
    throw new RivuletError(
      'backend-unavailable',
      'openaiRoute() needs a service worker. Call it in the script of your service worker.',
    )
  }
  worker.addEventListener('message', (event) => {
    const { data, source, ports } = event as ExtendableMessageEvent & {
      readonly data: PageMessage | undefined
    }
    if (data?.kind === introduction.kind && source instanceof Client) ports[0]?.postMessage(source.id)
    const over = data?.kind === 'rivulet-openai-answer-running' && answering.get(data.lifeLock)
    if (over) holdUntil(over, event)
  })
  worker.addEventListener('fetch', (event) => {
    const { origin, pathname } = new URL(event.request.url)
    if (origin !== worker.location.origin || !pathname.startsWith(scope)) return
    event.stopImmediatePropagation()
    const over = new AbortController()
    // Without this, the browser ends the event when the response starts.
    holdUntil(over.signal, event)
    event.respondWith(route(event, over))
  })
}

type PageMessage = typeof introduction | AnswerRunning

/** Maps the life lock of each running answer to a signal that is aborted when the answer ends. */
const answering = new Map<string, AbortSignal>()

/**
 * How long one event keeps the service worker alive. Chromium stops a service worker whose event takes five minutes. Each
 * new event gets another five minutes (w3c/ServiceWorker#1182).
 */
const holdMs = 4 * 60_000

/** Keeps this service worker alive until the answer ends, but not longer than `holdMs`. */
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

const noEngine = 'No page of this origin serves an engine. Open one that calls serveOpenai().'

function respond(error: ErrorBody, over: AbortController): Response {
  over.abort()
  return respondWithError(error)
}

/**
 * Returns why the request is refused, or undefined if it is allowed. Refuses what another origin could send: another origin
 * can navigate here and embed resources, but it is not a client of this service worker.
 */
function findRefusal({ mode, destination }: Request, clientId: string): string | undefined {
  if (mode === 'navigate') return 'This is not a page. Request it with fetch().'
  if (mode === 'no-cors' || destination !== '') return 'This cannot be embedded. Request it with fetch().'
  return clientId === '' ? 'Only pages of this origin can send requests here.' : undefined
}

interface ServingPage {
  readonly client: Client
  /** The name of a lock that is freed when the page is closed or stops serving. */
  readonly lock: string
}

/** Returns the requesting page if it serves. Otherwise returns the serving page that had the focus last. */
async function findServingPage(askingId: string): Promise<ServingPage | undefined> {
  const { scope } = worker.registration
  const { held = [] } = await worker.navigator.locks.query()
  const serving = new Set(held.map(({ name = '' }) => readServingLock(name, scope)))
  if (serving.size === 0) return undefined
  // `clients.matchAll` returns the most recently focused page first.
  const windows = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  const found = windows.filter(({ id }) => serving.has(id))
  const client = found.find(({ id }) => id === askingId) ?? found[0]
  return client && { client, lock: nameServingLock(scope, client.id) }
}

interface Answer {
  /** Returns the next part; undefined at the end, and after a cancel. @throws RivuletError */
  read(): Promise<AnswerPart | undefined>
  cancel(): Promise<void>
}

/** Passes a request to a page, and streams its answer with backpressure. */
async function askPage(page: ServingPage, request: Request, over: AbortSignal): Promise<Answer> {
  const { url, method, signal } = request
  const lifeLock = `rivulet-openai-answer ${crypto.randomUUID()}`
  const [body] = await Promise.all([request.text(), holdLifeLock(lifeLock, over)])
  answering.set(lifeLock, over)
  over.addEventListener('abort', () => answering.delete(lifeLock))
  const { port1, port2 } = new MessageChannel()
  const asked: RoutedRequest = { kind: 'rivulet-openai-request', url, method, body, lifeLock }
  page.client.postMessage(asked, [port2])
  const parts = receiveStream<AnswerPart>(port1, 1).getReader()
  const cancel = () => parts.cancel()
  let lost: RivuletError | undefined
  watchLifeLock(page.lock, over, () => {
    lost = new RivuletError('engine-disposed', 'The serving page was closed or stopped serving.')
    void cancel()
  })
  // By the standard (Handle Fetch), the signal is aborted when the client aborts. Chromium 156 never aborts the signal; it
  // only cancels the response's body.
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
