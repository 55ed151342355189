import { refuse, refuseUnknown } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import { leaveCancel } from './contract/leave-cancel.js'
import { holdLifeLock, watchLifeLock } from './contract/life-lock.js'
import {
  introduction,
  nameServingLock,
  type AnswerRunning,
  type AnswerPart,
  type RoutedRequest,
} from './contract/routed-request.js'
import { settleWithin } from './contract/settle-within.js'
import { sendStream } from './contract/stream-transfer.js'
import type { Engine } from './engine.js'
import { openaiFetch, type OpenaiFetchOptions } from './openai.js'

/** Options of `serveOpenai`. */
export interface ServeOpenaiOptions extends OpenaiFetchOptions {
  /** The registration of the service worker that calls `openaiRoute`. @default the one whose scope contains this page */
  readonly registration?: ServiceWorkerRegistration | undefined
}

/** A page that serves its engine. */
export interface OpenaiServing {
  /** Stops serving. Running answers end with the error `engine-disposed`. The engine stays loaded. */
  stop(): void
}

/**
 * Makes this page answer the requests that `openaiRoute()` takes in the origin's service worker. When the promise resolves,
 * a `fetch('/v1/chat/completions')` in any page of the origin streams from `engine`, as with `openaiFetch`.
 *
 *     const serving = await serveOpenai(engine)
 *
 * When several pages serve, each serving page answers its own requests. The requests of all other pages are answered by the
 * serving page that had the focus last.
 * @throws RivuletError `invalid-option`; `backend-unavailable` if no service worker that calls `openaiRoute()` is found
 */
export async function serveOpenai(engine: Engine, options: ServeOpenaiOptions = {}): Promise<OpenaiServing> {
  refuseUnknown('serveOpenai()', options, ['model', 'registration'] satisfies (keyof ServeOpenaiOptions)[])
  const { model, registration } = options
  const fetch = openaiFetch(engine, { model })
  const registered = registration ?? (await globalThis.navigator?.serviceWorker?.getRegistration())
  if (!registered) {
    fail(
      'This page has no service worker. Register one that calls openaiRoute(), on a secure page (HTTPS or localhost).',
    )
  }
  if (serving.has(registered.scope))
    refuse('This page already serves an engine. Call the stop() of the earlier serveOpenai() first.')
  serving.add(registered.scope)
  const stopping = new AbortController()
  stopping.signal.addEventListener('abort', () => serving.delete(registered.scope))
  try {
    const clientId = await introduce(await waitForActive(registered))
    const listen = ({ data, source, ports: [port] }: MessageEvent<Partial<RoutedRequest>>) => {
      if (data?.kind !== 'rivulet-openai-request' || !port) return
      const request = data as RoutedRequest
      const remind = createReminder(source as ServiceWorker, request.lifeLock)
      sendStream(answer(fetch, request, remind, stopping.signal), port)
    }
    navigator.serviceWorker.addEventListener('message', listen, { signal: stopping.signal })
    navigator.serviceWorker.startMessages()
    await holdLifeLock(nameServingLock(registered.scope, clientId), stopping.signal)
  } catch (error) {
    stopping.abort()
    throw error
  }
  return {
    stop: () => stopping.abort(new RivuletError('engine-disposed', 'The serving page stopped serving.')),
  }
}

/** The scopes of the registrations for which this page serves. */
const serving = new Set<string>()

function fail(message: string): never {
  throw new RivuletError('backend-unavailable', message)
}

async function waitForActive({
  installing,
  waiting,
  active,
}: ServiceWorkerRegistration): Promise<ServiceWorker> {
  const worker = active ?? waiting ?? installing
  if (!worker) fail('The service worker was unregistered. Register it again.')
  if (worker === active) return worker
  await new Promise<void>((resolve, reject) => {
    worker.addEventListener('statechange', () => {
      if (worker.state === 'activated') resolve()
      if (worker.state === 'redundant') {
        reject(
          new RivuletError(
            'backend-unavailable',
            'The service worker could not be installed. Check its script for errors.',
          ),
        )
      }
    })
  })
  return worker
}

/** How long to wait for the service worker's answer. The service worker may have to start first. */
const introductionMs = 10_000

/** Asks the service worker for this page's client id. */
async function introduce(worker: ServiceWorker): Promise<string> {
  const { port1, port2 } = new MessageChannel()
  worker.postMessage(introduction, [port2])
  const answered = new Promise<string>((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<string>) => resolve(data)
  })
  const clientId = await settleWithin(answered, introductionMs)
  port1.close()
  return (
    clientId ?? fail('The service worker does not answer. Call openaiRoute() while its script first runs.')
  )
}

/** The shortest time between two reports. Browsers stop a service worker after about 30 seconds without events. */
const reminderMs = 10_000

/** Returns a function that reports a running answer to the service worker, at most once per `reminderMs`. */
function createReminder(worker: ServiceWorker, lifeLock: string): () => void {
  let remindedMs = performance.now()
  return () => {
    if (performance.now() - remindedMs < reminderMs) return
    remindedMs = performance.now()
    worker.postMessage({ kind: 'rivulet-openai-answer-running', lifeLock } satisfies AnswerRunning, [])
  }
}

/** Returns the answer to a request as a stream of parts, with backpressure. */
function answer(
  fetch: typeof globalThis.fetch,
  { url, method, body, lifeLock }: RoutedRequest,
  remind: () => void,
  stopped: AbortSignal,
): ReadableStream<AnswerPart> {
  const ending = new AbortController()
  const signal = AbortSignal.any([ending.signal, stopped])
  watchLifeLock(lifeLock, signal, () => ending.abort())
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined
  return new ReadableStream<AnswerPart>(
    {
      async pull(controller) {
        if (!reader) {
          const response = await fetch(url, { method, signal, ...(method === 'POST' && { body }) })
          reader = response.body!.getReader()
          return controller.enqueue({ kind: 'head', status: response.status, headers: [...response.headers] })
        }
        const { done, value } = await reader.read()
        remind()
        if (!done) return controller.enqueue({ kind: 'bytes', bytes: value })
        controller.close()
        ending.abort()
      },
      async cancel() {
        await leaveCancel()
        ending.abort()
      },
    },
    { highWaterMark: 0 },
  )
}
