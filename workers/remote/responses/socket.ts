import { RivuletError } from '../../../lib/contract/errors.js'
import { pause } from '../../http-retry.js'
import { watchIdle } from '../../idle-watch.js'
import type { StreamItem } from '../event-stream.js'
import { asText, isObject } from '../server-failure.js'
import { isEndType } from './read-event.js'
import {
  openSocket,
  type Lane,
  type SocketAccess,
  type SocketConnection,
  type SocketFailure,
} from './socket-lanes.js'

/** Sends requests over one WebSocket, which stays open between them. */
export interface ResponseSocket {
  /**
   * Sends `response.create` and yields the events of its response. A socket that is lost before the first event is opened
   * again. Ending the iteration before the last event closes the socket, unless another response uses it: the protocol has
   * no message that stops a response.
   * @throws RivuletError `connection-failed`; the reason of `signal`
   */
  stream(body: Readonly<Record<string, unknown>>, signal: AbortSignal): AsyncGenerator<StreamItem, undefined>
  close(): void
}

/** The maximum number of sockets that are tried for one request. */
const maxAttempts = 4
const firstPauseMs = 500

/** Creates the socket. The first request opens it. */
export function createResponseSocket(access: SocketAccess): ResponseSocket {
  let current: Promise<SocketConnection | SocketFailure> | undefined

  async function connect(): Promise<SocketConnection | SocketFailure> {
    const opening = (current ??= openSocket(access, () => {
      if (current === opening) current = undefined
    }))
    return opening
  }

  function leave(connection: SocketConnection, isOver: boolean): void {
    if (isOver || !connection.isIdle) return
    current = undefined
    connection.close()
  }

  return {
    async *stream(body, signal): AsyncGenerator<StreamItem, undefined> {
      for (let attempt = 1; ; attempt += 1) {
        const opened = await untilAborted(connect(), signal)
        let failure = opened.kind === 'failure' ? opened : undefined
        let hasEvents = false
        let isOver = false
        if (opened.kind === 'open') {
          const { lane, end } = opened.send(body)
          try {
            for await (const data of readLane(lane, access, signal)) {
              hasEvents = true
              isOver = isLastEvent(data)
              yield { kind: 'event', name: undefined, data, isLast: false }
              if (isOver) return undefined
            }
            ;({ failure } = lane)
          } finally {
            end()
            leave(opened, isOver)
          }
        }
        if (!failure) return undefined
        if (hasEvents || !failure.mayRetry || attempt === maxAttempts) throw failure.error
        await pause(firstPauseMs * 2 ** (attempt - 1), signal)
      }
    },
    close() {
      void current?.then((opened) => opened.kind === 'open' && opened.close())
      current = undefined
    },
  }
}

/** True for the last event of a response. */
function isLastEvent(data: string): boolean {
  try {
    const event: unknown = JSON.parse(data)
    return isObject(event) && (isEndType(asText(event.type)) || event.type === 'error')
  } catch {
    return false
  }
}

/** Yields the events of a lane until it fails. @throws the reason of `signal`; RivuletError if the lane is silent */
async function* readLane(
  lane: Lane,
  { idleTimeoutMs }: SocketAccess,
  signal: AbortSignal,
): AsyncGenerator<string, undefined> {
  const createReason = () =>
    new RivuletError(
      'connection-failed',
      `The WebSocket sent no event for ${idleTimeoutMs} ms. Retry, or increase "idleTimeoutMs".`,
    )
  const watch = watchIdle(idleTimeoutMs, signal, createReason)
  try {
    for (;;) {
      const event = lane.take()
      if (event !== undefined) {
        watch.pause()
        yield event
        watch.touch()
      } else if (lane.failure) return
      else await untilAborted(lane.wait(), watch.signal)
    }
  } finally {
    watch.end()
  }
}

/** Waits for a promise. @throws the reason of `signal` as soon as it is aborted */
function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason)
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}
