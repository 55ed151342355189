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

// The compiler knows a worker, not which.
const worker = self as unknown as ServiceWorkerGlobalScope

/**
 * Answers OpenAI's API below a path of this origin from a page that has called `serveOpenai`: for any `fetch` of the pages,
 * frames and workers that this service worker controls. To be called while the service worker's script first runs, before
 * other listeners for `fetch` are added.
 *
 *     import { openaiRoute } from 'rivulet/openai-route'
 *     openaiRoute()
 *     // Else pages that were open before are answered only when they are loaded again.
 *     self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))
 *
 * Navigations, forms and embedded resources, which pages of other origins could have sent, get status 403 with OpenAI's error
 * shape; where no page serves, the status is 503. A page that is closed in mid-answer ends a stream with an error event. A
 * reader who leaves a stream cancels the generation; that of an answer in one piece goes on where the browser does not tell
 * service workers of it (Chromium 156).
 *
 * Browsers end service workers (w3c/ServiceWorker#1182): one that streams is kept by the page's word that its answer goes on,
 * but an answer that nobody reads for four minutes, or one that is not streamed and takes five, is cut off: its reader's
 * request fails, and the generation is cancelled.
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
    // With the answer's head, the browser holds the event for done.
    holdUntil(over.signal, event)
    event.respondWith(route(event, over))
  })
}

type PageWord = typeof introduction | AnswerGoesOn

/** The answers on their way, by their life locks. */
const answering = new Map<string, AbortSignal>()

/** Chromium ends a service worker whose event takes five minutes; the next event is another five (w3c/ServiceWorker#1182). */
const holdMs = 4 * 60_000

/** Keeps the browser from ending this service worker before an answer is over, for as long as one event can. */
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

function respond({ status, body }: ErrorBody, over: AbortController): Response {
  over.abort()
  return Response.json(body, { status })
}

/** What other origins could cause: they can lead a browser here and embed things, but have no client of this worker. */
function findRefusal({ mode, destination }: Request, clientId: string): string | undefined {
  if (mode === 'navigate') return 'This is no page: ask for it with fetch().'
  if (mode === 'no-cors' || destination !== '') return 'This cannot be embedded: ask for it with fetch().'
  return clientId === '' ? 'Only pages of this origin may ask.' : undefined
}

interface ServingPage {
  readonly client: Client
  /** Free when the page is gone or serves no more. */
  readonly lock: string
}

/** The page that asks, where it serves; else, of those that do, the one that had the focus last. */
async function findServingPage(askingId: string): Promise<ServingPage | undefined> {
  const { scope } = worker.registration
  const { held = [] } = await worker.navigator.locks.query()
  const serving = new Set(held.map(({ name = '' }) => readServingLock(name, scope)))
  if (serving.size === 0) return undefined
  // The standard has them in the order of their last focus (clients.matchAll).
  const windows = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  const found = windows.filter(({ id }) => serving.has(id))
  const client = found.find(({ id }) => id === askingId) ?? found[0]
  return client && { client, lock: nameServingLock(scope, client.id) }
}

interface Answer {
  /** Undefined at the end, and when the reader has left. @throws RivuletError */
  read(): Promise<AnswerPart | undefined>
  cancel(): Promise<void>
}

/** Passes a request on to a page, whose answer comes as fast as it is read. */
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
    lost = new RivuletError('engine-disposed', 'The page that answers was closed, or has stopped to serve.')
    void cancel()
  })
  // As the standard has it (Handle Fetch); Chromium 156 tells only by cancelling the response's body.
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
  if (head?.kind !== 'head') throw new RivuletError('engine-disposed', 'The request was given up.')
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
