import { transferHandlers, type TransferHandler } from 'comlink'
import { deserializeError, serializeError, type SerializedError } from './error-transfer.js'

/**
 * How many chunks may be on their way or wait unread on the receiving side.
 * The sender pulls its source only against a credit, so this is also how far a model runs ahead of its reader.
 */
export const readAheadChunks = 2

type ToReceiver<T> =
  | { readonly kind: 'chunk'; readonly value: T }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: SerializedError }

type ToSender = { readonly kind: 'credit' } | { readonly kind: 'cancel' }

/**
 * Sends `stream` over `port`, one chunk per credit, then its end or its error.
 * Without a credit nothing is read: a source with `highWaterMark: 0` then does no work.
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
      finish({ kind: 'error', error: serializeError(error) })
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
    // A source that fails while it is being cancelled has nobody left to tell.
    reader.cancel().catch(() => {})
    port.close()
  }
}

/**
 * The stream that `sendStream` sends into the other end of `port`.
 * It buffers at most `readAheadChunks`; an error arrives behind the chunks that came before it.
 */
export function receiveStream<T>(port: MessagePort): ReadableStream<T> {
  const arrived: ToReceiver<T>[] = []
  let wake = () => {}
  const grantCredit = () => port.postMessage({ kind: 'credit' } satisfies ToSender)
  port.onmessage = ({ data }: MessageEvent<ToReceiver<T>>) => {
    arrived.push(data)
    wake()
  }
  port.onmessageerror = () => {
    const error = serializeError(new Error('A streamed chunk could not be deserialized.'))
    arrived.push({ kind: 'error', error })
    wake()
  }
  for (let i = 0; i < readAheadChunks; i += 1) grantCredit()

  const stop = () => {
    // A late message must not reach a stream that is over.
    port.onmessage = null
    port.onmessageerror = null
    port.close()
  }
  return new ReadableStream<T>(
    {
      async pull(controller) {
        if (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        const message = arrived.shift()
        if (message?.kind === 'chunk') {
          grantCredit()
          controller.enqueue(message.value)
          return
        }
        stop()
        if (message?.kind === 'error') controller.error(deserializeError(message.error))
        else if (message) controller.close()
      },
      cancel() {
        port.postMessage({ kind: 'cancel' } satisfies ToSender)
        stop()
        wake()
      },
    },
    { highWaterMark: 0 },
  )
}

const outgoing = new WeakSet<object>()

/** Marks a stream that a Comlink call returns or takes, so that it crosses by the transfer below. */
export function transferStream<T>(stream: ReadableStream<T>): ReadableStream<T> {
  outgoing.add(stream)
  return stream
}

/**
 * Lets Comlink pass a marked `ReadableStream` in either direction over a `MessagePort` of its own.
 * Not the platform's stream transfer: that costs ten times as much a chunk and is missing in Safari 26.
 * Both threads call this once, before their first Comlink call.
 */
export function installStreamTransfer(): void {
  transferHandlers.set('rivulet-stream', {
    canHandle: (value): value is ReadableStream<unknown> =>
      value instanceof ReadableStream && outgoing.has(value),
    serialize: (stream) => {
      const { port1, port2 } = new MessageChannel()
      sendStream(stream, port1)
      return [port2, [port2]]
    },
    deserialize: (port) => receiveStream(port),
  } satisfies TransferHandler<ReadableStream<unknown>, MessagePort>)
}
