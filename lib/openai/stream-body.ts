import { createResponseHeaders } from '../contract/openai-error.js'
import { leaveCancel } from '../contract/leave-cancel.js'
import { writeComment } from '../contract/server-sent-events.js'
import { settleWithin } from '../contract/settle-within.js'
import { readAheadWhenIdle } from './read-ahead.js'

type Bytes = Uint8Array<ArrayBuffer>

/** A failure within this time sets the HTTP status. Later, the response has started, and a failure is sent as an event. */
const statusGraceMs = 1000
/** How often a comment is sent during prefill, because proxies and clients abort a silent connection. */
const keepAliveMs = 10_000
/** How long a body that nobody reads holds the model. */
const unreadMs = 30_000
/** Safari before version 26 has no byte streams: there a body has no BYOB reader. */
const bodyType = typeof ReadableByteStreamController === 'function' ? 'bytes' : undefined

/** The events of a streamed response. */
export interface EventSource {
  /** Writes the events, each when it is requested. `signal` cancels the work. */
  write(signal: AbortSignal): AsyncGenerator<Bytes, undefined>
  /** Writes the events that end a response which has failed after its start. */
  writeFailure(error: unknown): readonly Bytes[]
}

/**
 * Returns a response that streams events, with backpressure.
 * @param signal the request's signal
 * @throws the error of the first event, if it comes within a second
 */
export async function streamEvents(source: EventSource, signal: AbortSignal): Promise<Response> {
  const leaving = new AbortController()
  const events = source.write(AbortSignal.any([signal, leaving.signal]))
  const first = events.next()
  first.catch(() => {})
  await settleWithin(first, statusGraceMs)
  const rest = readAheadWhenIdle(startWith(first, events), unreadMs)
  let keepAlive: ReturnType<typeof setInterval> | undefined

  const underlying = {
    // Cast: TypeScript knows byte streams only by a source whose `type` is the literal 'bytes'.
    type: bodyType as 'bytes',
    start(controller: ReadableByteStreamController) {
      keepAlive = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(writeComment('keep-alive'))
      }, keepAliveMs)
    },
    async pull(controller: ReadableByteStreamController) {
      try {
        const { done, value } = await rest.next()
        clearInterval(keepAlive)
        if (!done) return controller.enqueue(value)
      } catch (error) {
        clearInterval(keepAlive)
        if (signal.aborted) return controller.error(signal.reason)
        for (const event of source.writeFailure(error)) controller.enqueue(event)
      }
      rest.stop()
      controller.close()
      controller.byobRequest?.respond(0)
    },
    async cancel() {
      clearInterval(keepAlive)
      rest.stop()
      await leaveCancel()
      leaving.abort()
    },
  }
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' }
  const body = new ReadableStream(underlying, { highWaterMark: 1 }) as ReadableStream<Bytes>
  return new Response(body, { headers: { ...headers, ...createResponseHeaders() } })
}

/** Returns an iterator whose first item has been requested already. */
async function* startWith<T>(
  first: Promise<IteratorResult<T, undefined>>,
  rest: AsyncIterator<T, undefined>,
): AsyncGenerator<T, undefined> {
  for (let next = await first; !next.done; next = await rest.next()) yield next.value
}
