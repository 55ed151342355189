import { expose, type Endpoint } from 'comlink'
import { installErrorTransfer } from '../lib/contract/error-transfer.js'
import { RivuletError } from '../lib/contract/errors.js'
import { isServer } from '../lib/contract/is-server.js'
import { watchLifeLock } from '../lib/contract/life-lock.js'
import { installStreamTransfer } from '../lib/contract/stream-transfer.js'
import { workerMethods, type ClientIntroduction, type WorkerApi } from '../lib/contract/worker-api.js'
import { createEdge, type Edge } from './edge.js'
import type { HostApi } from './host.js'

/**
 * Lets the other side of `endpoint` call the methods of `WorkerApi`, and nothing else. It can pass ports to other pages, whose
 * engines then call the same host.
 */
export function exposeMethods(host: HostApi, endpoint: Endpoint): void {
  // A server can import an app's worker, but has nothing to expose it to.
  if (isServer()) return
  installErrorTransfer()
  installStreamTransfer()
  const edge = createEdge(host)
  endpoint.addEventListener('message', (event) => {
    const { data, ports } = event as MessageEvent<Partial<ClientIntroduction> | undefined>
    if (data?.kind === 'rivulet-client' && data.lifeLock !== undefined && ports[0])
      addClient(edge, ports[0], data.lifeLock)
  })
  exposeApi(edge.open(), endpoint)
}

function addClient(edge: Edge, port: MessagePort, lifeLock: string): void {
  const left = new AbortController()
  const { generate, countTokens, readStatus } = edge.open(left.signal)
  const refuseLoad = () => {
    throw new RivuletError('invalid-option', 'Only the page that started this worker can load its model.')
  }
  // The page that started the worker unloads the model after its last client.
  exposeApi({ generate, countTokens, readStatus, load: refuseLoad, unload: () => Promise.resolve() }, port)
  watchLifeLock(lifeLock, left.signal, () => {
    left.abort()
    port.close()
  })
}

/** Without this guard Comlink follows any path: `api.load.constructor('…')` would reach `Function`. */
function exposeApi(api: WorkerApi, endpoint: Endpoint): void {
  const methods = Object.fromEntries(workerMethods.map((name) => [name, api[name]]))
  expose(Object.assign(Object.create(null), methods, { [refusal]: refuse }), guard(endpoint))
}

const refusal = 'refuse'

function refuse(): never {
  throw new RivuletError('invalid-option', `This worker has only the methods ${workerMethods.join(', ')}.`)
}

/** Creates an endpoint that passes on calls of the worker's methods. All other Comlink messages become calls that throw. */
function guard(endpoint: Endpoint): Endpoint {
  return {
    postMessage: (message, transfer) => endpoint.postMessage(message, transfer),
    start: () => endpoint.start?.(),
    addEventListener(type, listener) {
      const handle = typeof listener === 'function' ? listener : listener.handleEvent.bind(listener)
      endpoint.addEventListener(type, (event) => {
        const { data } = event as MessageEvent<unknown>
        if (isNamedCall(data)) handle(event)
        else if (hasId(data))
          handle(new MessageEvent('message', { data: { id: data.id, type: 'APPLY', path: [refusal] } }))
      })
    },
    // Comlink removes its listener only on RELEASE, which is refused like every other message.
    removeEventListener: () => {},
  }
}

function isNamedCall(data: unknown): boolean {
  const { type, path } = (data ?? {}) as { readonly type?: unknown; readonly path?: unknown }
  return (
    type === 'APPLY' &&
    Array.isArray(path) &&
    path.length === 1 &&
    (workerMethods as readonly unknown[]).includes(path[0])
  )
}

function hasId(data: unknown): data is { readonly id: unknown } {
  return typeof data === 'object' && data !== null && 'id' in data
}
