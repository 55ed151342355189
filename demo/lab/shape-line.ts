// In the lab's workers: makes the line to the model's server slow, and cuts it. A page cannot take its browser off line;
// what `fetch` then does, it can do.
import type { Line } from './worker-faults.js'

export interface LineCounts {
  readonly requests: number
  readonly failedRequests: number
  /** Of bodies, as far as they were passed on. */
  readonly receivedBytes: number
}

export interface ShapedLine {
  readonly counts: LineCounts
  set(line: Line): void
}

/** So much is passed on at once. */
const pieceBytes = 16 * 1024

/** Puts itself into the place of the worker's `fetch`. */
export function shapeLine(): ShapedLine {
  const counts = { requests: 0, failedRequests: 0, receivedBytes: 0 }
  const unshapedFetch = globalThis.fetch
  let line: Line | undefined
  let down = new AbortController()
  /** When the line is free for the next piece. */
  let freeAtMs = 0

  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    if (!line || !url.startsWith(line.url)) return unshapedFetch(input, init)
    counts.requests += 1
    if (line.isDown) throw failRequest()
    const response = await unshapedFetch(input, init)
    const { body } = response
    if (body) Object.defineProperty(response, 'body', { value: slowDown(body) })
    return response
  }

  function failRequest(): TypeError {
    counts.failedRequests += 1
    return new TypeError('Failed to fetch')
  }

  function slowDown(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const cut = down.signal
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
        await waitForLine(piece.byteLength, cut)
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

  async function waitForLine(bytes: number, cut: AbortSignal): Promise<void> {
    const now = performance.now()
    freeAtMs = Math.max(freeAtMs, now) + (bytes * 1000) / (line?.bytesPerSecond ?? Infinity)
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
      line = next
      if (next.isDown) {
        down.abort()
        freeAtMs = 0
      } else if (down.signal.aborted) down = new AbortController()
    },
  }
}
