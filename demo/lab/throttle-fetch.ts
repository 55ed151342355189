// Runs in the lab's workers: throttles or fails requests for the model's files. A page cannot take the browser offline, but
// it can make `fetch` fail in the same way.
import type { NetworkCondition } from './worker-faults.js'

interface NetworkCounts {
  readonly requests: number
  readonly failedRequests: number
  /** Bytes of response bodies that were passed to the reader. */
  readonly receivedBytes: number
}

export interface ThrottledFetch {
  readonly counts: NetworkCounts
  set(network: NetworkCondition): void
}

/** The size of the pieces in which a body is passed on. */
const pieceBytes = 16 * 1024

/** Replaces the worker's global `fetch`. */
export function throttleFetch(): ThrottledFetch {
  const counts = { requests: 0, failedRequests: 0, receivedBytes: 0 }
  const originalFetch = globalThis.fetch
  let network: NetworkCondition | undefined
  let offline = new AbortController()
  /** When the next piece may be passed on. */
  let freeAtMs = 0

  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    if (!network || !url.startsWith(network.url)) return originalFetch(input, init)
    counts.requests += 1
    if (network.isOffline) throw failRequest()
    const response = await originalFetch(input, init)
    const { body } = response
    if (body) Object.defineProperty(response, 'body', { value: slowDown(body) })
    return response
  }

  function failRequest(): TypeError {
    counts.failedRequests += 1
    return new TypeError('Failed to fetch')
  }

  function slowDown(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const cut = offline.signal
    const reader = body.getReader()
    let rest = new Uint8Array()
    return new ReadableStream({
      async pull(controller) {
        if (rest.byteLength === 0) {
          const { done, value } = await reader.read()
          if (done) return controller.close()
          rest = value as typeof rest
        }
        const piece = rest.subarray(0, pieceBytes)
        await waitForBandwidth(piece.byteLength, cut)
        if (cut.aborted) {
          reader.cancel().catch(() => {})
          throw failRequest()
        }
        rest = rest.subarray(pieceBytes)
        counts.receivedBytes += piece.byteLength
        controller.enqueue(piece)
      },
      cancel: (reason) => reader.cancel(reason),
    })
  }

  async function waitForBandwidth(bytes: number, cut: AbortSignal): Promise<void> {
    const now = performance.now()
    freeAtMs = Math.max(freeAtMs, now) + (bytes * 1000) / (network?.bytesPerSecond ?? Infinity)
    await new Promise<void>((resolve) => {
      const stop = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        cut.removeEventListener('abort', stop)
        resolve()
      }, freeAtMs - now)
      cut.addEventListener('abort', stop, { once: true })
    })
  }

  return {
    counts,
    set(next) {
      network = next
      if (next.isOffline) {
        offline.abort()
        freeAtMs = 0
      } else if (offline.signal.aborted) offline = new AbortController()
    },
  }
}
