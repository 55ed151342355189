import { expose, type Endpoint } from 'comlink'
import { installErrorTransfer } from '../lib/contract/error-transfer.js'
import { RivuletError } from '../lib/contract/errors.js'
import { isServer } from '../lib/contract/is-server.js'
import { installStreamTransfer } from '../lib/contract/stream-transfer.js'
import { workerMethods, type WorkerApi } from '../lib/contract/worker-api.js'

/**
 * Lets the other side of `endpoint` call the methods of `WorkerApi`, and nothing else.
 * Without this guard Comlink follows any path: `api.load.constructor('…')` would reach `Function`.
 */
export function exposeMethods(api: WorkerApi, endpoint: Endpoint): void {
  // A server can import an app's worker, but has nothing to expose it to.
  if (isServer()) return
  installErrorTransfer()
  installStreamTransfer()
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
