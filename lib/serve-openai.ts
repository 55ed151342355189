import { refuse } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import { holdLifeLock, watchLifeLock } from './contract/life-lock.js'
import {
  introduction,
  nameServingLock,
  type AnswerGoesOn,
  type AnswerPart,
  type RoutedRequest,
} from './contract/routed-request.js'
import { sendStream } from './contract/stream-transfer.js'
import type { Engine } from './engine.js'
import { openaiFetch, type OpenaiFetchOptions } from './openai.js'

/** Options of `serveOpenai`. */
export interface ServeOpenaiOptions extends OpenaiFetchOptions {
  /** Of the service worker that calls `openaiRoute`. @default the registration whose scope this page is in */
  readonly registration?: ServiceWorkerRegistration | undefined
}

/** A page that answers. */
export interface OpenaiServing {
  /** Answers no more; answers on their way end with the error `engine-disposed`. The engine stays as it is. */
  stop(): void
}

/**
 * Has this page answer what its origin's pages ask the service worker for, where that calls `openaiRoute()`: then any
 * `fetch('/v1/chat/completions')` of theirs streams from `engine`, as with `openaiFetch`.
 *
 *     const serving = await serveOpenai(engine)
 *
 * Of several pages that serve, one answers itself; pages that do not are answered by the one that had the focus last.
 * @throws RivuletError `invalid-option`; `backend-unavailable` where no service worker with `openaiRoute()` is to be found
 */
export async function serveOpenai(engine: Engine, options: ServeOpenaiOptions = {}): Promise<OpenaiServing> {
  const { model, registration, ...unknown } = options
  const [name] = Object.keys(unknown)
  if (name !== undefined) {
    refuse(`serveOpenai() has no option "${name}"; it has: model, registration.`)
  }
  const fetch = openaiFetch(engine, { model })
  const registered = registration ?? (await navigator.serviceWorker?.getRegistration())
  if (!registered) {
    fail(
      'This page has no service worker, which secure pages alone can have. Register one that calls openaiRoute().',
    )
  }
  if (serving.has(registered.scope)) refuse('This page serves an engine already: stop() that first.')
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
    stop: () => stopping.abort(new RivuletError('engine-disposed', 'The page that answers has stopped to.')),
  }
}

/** The registrations for which this page serves, by their scopes. */
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
  if (!worker) fail('The service worker was unregistered.')
  if (worker === active) return worker
  await new Promise<void>((resolve, reject) => {
    worker.addEventListener('statechange', () => {
      if (worker.state === 'activated') resolve()
      if (worker.state === 'redundant') {
        reject(new RivuletError('backend-unavailable', 'The service worker could not be installed.'))
      }
    })
  })
  return worker
}

/** A service worker may have to start before it answers. */
const introductionMs = 10_000

/** Asks for this page's client id. */
async function introduce(worker: ServiceWorker): Promise<string> {
  const { port1, port2 } = new MessageChannel()
  worker.postMessage(introduction, [port2])
  const answered = new Promise<string>((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<string>) => resolve(data)
  })
  const timeout = new Promise<undefined>((resolve) => setTimeout(resolve, introductionMs))
  const clientId = await Promise.race([answered, timeout])
  port1.close()
  return clientId ?? fail('The service worker does not answer: it must call openaiRoute() while it starts.')
}

/** Well within the half minute for which browsers keep a service worker that has no event. */
const reminderMs = 10_000

/** Tells the service worker that an answer goes on, as often as it must know. */
function createReminder(worker: ServiceWorker, lifeLock: string): () => void {
  let toldMs = performance.now()
  return () => {
    if (performance.now() - toldMs < reminderMs) return
    toldMs = performance.now()
    worker.postMessage({ kind: 'rivulet-openai-goes-on', lifeLock } satisfies AnswerGoesOn, [])
  }
}

/** The answer in parts, taken no faster than they are asked for. */
function answer(
  fetch: typeof globalThis.fetch,
  { url, method, body, lifeLock }: RoutedRequest,
  remind: () => void,
  stopped: AbortSignal,
): ReadableStream<AnswerPart> {
  const leaving = new AbortController()
  const signal = AbortSignal.any([leaving.signal, stopped])
  watchLifeLock(lifeLock, signal, () => leaving.abort())
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
        leaving.abort()
      },
      cancel: () => leaving.abort(),
    },
    { highWaterMark: 0 },
  )
}
