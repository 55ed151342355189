import { transferHandlers, type TransferHandler } from 'comlink'
import { deserializeThrown, serializeThrown, type SerializedThrown } from './error-transfer.js'

/**
 * The maximum number of chunks that the sender may start before the receiver reads them. This limits how far a model runs
 * ahead of its reader.
 */
export const readAheadChunks = 2

type ToReceiver<T> =
  | { readonly kind: 'chunk'; readonly value: T }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: SerializedThrown }

type ToSender = { readonly kind: 'credit' } | { readonly kind: 'cancel'; readonly reason: SerializedThrown }

/**
 * Sends `stream` over `port`: one chunk for each credit from the receiver, then the stream's end or error.
 * Reads nothing without a credit, so a source with `highWaterMark: 0` does no work until then.
 */
export function sendStream<T>(stream: ReadableStream<T>, port: MessagePort): void {
  const reader = stream.getReader()
  let credits = 0
  let isReading = false
  const post = (message: ToReceiver<T>) => port.postMessage(message)
  const finish = (message: ToReceiver<T>) => {
    post(message)
    port.close()
  }

  async function pump(): Promise<void> {
    if (isReading) return
    isReading = true
    try {
      while (credits > 0) {
        const { done, value } = await reader.read()
        if (done) return finish({ kind: 'end' })
        credits -= 1
        post({ kind: 'chunk', value })
      }
    } catch (error) {
      // If the error is not the stream's own (a chunk cannot be cloned), the source must stop. Otherwise this does nothing.
      reader.cancel(error).catch(() => {})
      finish({ kind: 'error', error: serializeThrown(error) })
    } finally {
      isReading = false
    }
  }

  port.onmessage = ({ data }: MessageEvent<ToSender>) => {
    if (data.kind === 'credit') {
      credits += 1
      void pump()
      return
    }
    credits = 0
    port.onmessage = null
    // Nobody reads the stream any more, so an error while cancelling is dropped.
    reader.cancel(deserializeThrown(data.reason)).catch(() => {})
    port.close()
  }
}

/**
 * Returns the stream that `sendStream` sends from the other end of `port`.
 * At most `credits` chunks are in flight or unread. An error arrives after the chunks that were sent before it.
 */
export function receiveStream<T>(port: MessagePort, credits: number): ReadableStream<T> {
  const arrived: { readonly message: ToReceiver<T>; readonly arrivedAt: number }[] = []
  let wake = () => {}
  const grantCredit = () => port.postMessage({ kind: 'credit' } satisfies ToSender)
  const receive = (message: ToReceiver<T>) => {
    arrived.push({ message, arrivedAt: performance.now() })
    wake()
  }
  port.onmessage = ({ data }: MessageEvent<ToReceiver<T>>) => receive(data)
  port.onmessageerror = () => {
    const error = serializeThrown(new Error('A streamed chunk could not be deserialized.'))
    port.postMessage({ kind: 'cancel', reason: error } satisfies ToSender)
    receive({ kind: 'error', error })
  }
  for (let i = 0; i < credits; i += 1) grantCredit()

  const stop = () => {
    // A late message must not reach a stream that has ended.
    port.onmessage = null
    port.onmessageerror = null
    port.close()
  }
  return new ReadableStream<T>(
    {
      async pull(controller) {
        // The credit is granted now, not when the chunk arrives. A waiting reader has nothing unread, so the sender can
        // already start the next step.
        grantCredit()
        if (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        const next = arrived.shift()
        // The stream was cancelled during the wait.
        if (!next) return stop()
        const { message, arrivedAt } = next
        if (message.kind === 'chunk') {
          const { value } = message
          if (typeof value === 'object' && value !== null) {
            const later = arrived.flatMap((each) =>
              each.message.kind === 'chunk' ? [each.message.value] : [],
            )
            arrivals.set(value, { arrivedAt, later })
          }
          return controller.enqueue(value)
        }
        stop()
        if (message.kind === 'error') controller.error(deserializeThrown(message.error))
        else controller.close()
      },
      cancel(reason) {
        port.postMessage({ kind: 'cancel', reason: serializeThrown(reason) } satisfies ToSender)
        stop()
        wake()
      },
    },
    { highWaterMark: 0 },
  )
}

/** When a chunk of a received stream arrived on this thread. */
export interface Arrival {
  /** The time of arrival, as a `performance.now()` value. */
  readonly arrivedAt: number
  /** The chunks that arrived after this chunk, but before this chunk was read. */
  readonly later: readonly unknown[]
}

const arrivals = new WeakMap<object, Arrival>()

/** Returns when a chunk arrived on this thread; undefined for a chunk that did not cross a port. */
export function readArrival(chunk: object): Arrival | undefined {
  return arrivals.get(chunk)
}

/** Maps a stream to the number of credits of its receiver. */
const outgoing = new WeakMap<object, number>()

/**
 * Marks a stream that a Comlink call returns or takes as an argument, so that `installStreamTransfer` sends it.
 * @param chunksInFlight how many chunks the source itself may start ahead of its reader
 */
export function transferStream<T>(stream: ReadableStream<T>, chunksInFlight = 0): ReadableStream<T> {
  outgoing.set(stream, Math.max(1, readAheadChunks - chunksInFlight))
  return stream
}

/**
 * Makes Comlink send a marked `ReadableStream`, in either direction, over a separate `MessagePort`.
 * The platform's stream transfer is not used: it costs ten times as much per chunk and is missing in Safari 26.
 * Each thread calls this function once, before its first Comlink call.
 */
export function installStreamTransfer(): void {
  transferHandlers.set('rivulet-stream', {
    canHandle: (value): value is ReadableStream<unknown> =>
      value instanceof ReadableStream && outgoing.has(value),
    serialize: (stream) => {
      const { port1, port2 } = new MessageChannel()
      sendStream(stream, port1)
      return [{ port: port2, credits: outgoing.get(stream) ?? readAheadChunks }, [port2]]
    },
    deserialize: ({ port, credits }) => receiveStream(port, credits),
  } satisfies TransferHandler<ReadableStream<unknown>, { port: MessagePort; credits: number }>)
}
