import { RivuletError, describeError } from '../../../lib/contract/errors.js'
import { isObject } from '../server-failure.js'

/** How to open a WebSocket. */
export interface SocketAccess {
  /** The absolute `wss:` or `ws:` URL, with the query. */
  readonly url: string
  readonly protocols: readonly string[]
  /** How long a response may be silent before it is given up. */
  readonly idleTimeoutMs: number
  /** True if the server runs several responses at once on one socket, told apart by `stream_id`. */
  readonly multiplex: boolean
  /** The maximum length of the events of one response that wait for their reader, in characters. */
  readonly maxUnreadLength: number
}

/** Why a socket could not be opened or was closed. */
export interface SocketFailure {
  readonly kind: 'failure'
  readonly error: RivuletError
  /** True if another socket may work: the server is busy or restarts, or the network failed. */
  readonly mayRetry: boolean
}

/** The unread events of one response. A browser's WebSocket cannot be read more slowly, so they wait here. */
export interface Lane {
  /** Returns the next event; undefined if none is waiting. */
  take(): string | undefined
  /** Set after the last event that the lane can have. */
  readonly failure: SocketFailure | undefined
  /** Resolves when an event arrives, or when the lane fails. */
  wait(): Promise<void>
}

/** An open socket. */
export interface SocketConnection {
  readonly kind: 'open'
  /** True if no response uses the socket. */
  readonly isIdle: boolean
  /** Sends `response.create`. @returns the lane of the response, and a function that ends it */
  send(body: Readonly<Record<string, unknown>>): { readonly lane: Lane; end(): void }
  close(): void
}

/**
 * The close codes after which another socket may work: RFC 6455, 7.4.1, and the registry of IANA. 1006 is what a browser
 * reports for a connection that could not be opened or broke.
 */
const busyCodes: ReadonlySet<number> = new Set([1001, 1006, 1012, 1013])

/** What to say about the close codes. */
const meanings: Readonly<Record<number, string | undefined>> = {
  1001: 'the server is going away',
  1002: 'the server reports a protocol error',
  1003: 'the server takes no such data',
  1006: 'the server could not be reached, or the network failed',
  1008: 'the server refused it. Check the key in "protocols" or "query"',
  1009: 'a message is too large for the server. Shorten the prompt',
  1011: 'the server failed',
  1012: 'the server restarts',
  1013: 'the server is overloaded',
  3000: 'the server does not know the key. Check "protocols" or "query"',
  3003: 'the key may not be used here. Check "protocols" or "query"',
}

/**
 * Opens a socket. A browser does not show a page why a socket could not be opened, so every reason has the close code 1006.
 * @param onClosed called when the socket has closed
 */
export function openSocket(
  access: SocketAccess,
  onClosed: () => void,
): Promise<SocketConnection | SocketFailure> {
  const { url, protocols, multiplex, maxUnreadLength } = access
  return new Promise((resolve) => {
    let socket: WebSocket
    try {
      socket = new WebSocket(url, [...protocols])
    } catch (cause) {
      // For example `ws:` on a page with `https:`.
      const words = `The WebSocket to ${new URL(url).host} could not be created: ${describeError(cause)}.`
      const error = new RivuletError('connection-failed', words, { cause })
      return resolve({ kind: 'failure', error, mayRetry: false })
    }
    const lanes = new Map<string, ReturnType<typeof createLane>>()
    let sent = 0

    socket.onopen = () => resolve(connection)
    socket.onclose = ({ code, reason }) => {
      onClosed()
      const failure = describeClose(access, code, reason)
      for (const lane of lanes.values()) lane.fail(failure)
      resolve(failure)
    }
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (typeof data !== 'string') return
      const id = multiplex ? readStreamId(data) : ''
      // An event without an id is about the whole socket.
      const targets = id === undefined ? [...lanes.values()] : [lanes.get(id)]
      for (const lane of targets) lane?.add(data)
    }

    const connection: SocketConnection = {
      kind: 'open',
      get isIdle() {
        return lanes.size === 0
      },
      send(body) {
        const id = multiplex ? `rivulet-${(sent += 1)}` : ''
        const lane = createLane(maxUnreadLength)
        lanes.set(id, lane)
        const stream = multiplex ? { stream_id: id } : {}
        socket.send(JSON.stringify({ type: 'response.create', ...body, ...stream }))
        return { lane, end: () => lanes.delete(id) }
      },
      close: () => socket.close(1000),
    }
  })
}

function createLane(maxUnreadLength: number) {
  const events: string[] = []
  let unreadLength = 0
  let failure: SocketFailure | undefined
  let wake = () => {}
  return {
    get failure() {
      return failure
    },
    take() {
      const event = events.shift()
      unreadLength -= event?.length ?? 0
      return event
    },
    wait: () => new Promise<void>((resolve) => (events.length > 0 || failure ? resolve() : (wake = resolve))),
    add(event: string) {
      if (failure) return
      events.push(event)
      unreadLength += event.length
      if (unreadLength > maxUnreadLength) this.fail(createUnreadFailure(maxUnreadLength))
      wake()
    },
    fail(reason: SocketFailure) {
      failure ??= reason
      wake()
    },
  }
}

function createUnreadFailure(length: number): SocketFailure {
  const error = new RivuletError(
    'connection-failed',
    `The WebSocket received more than ${length} characters that nobody has read, and it cannot be slowed down. Read the ` +
      'stream faster, or increase "maxUnreadLength".',
  )
  return { kind: 'failure', error, mayRetry: false }
}

function describeClose({ url, protocols }: SocketAccess, code: number, reason: string): SocketFailure {
  const { host, searchParams } = new URL(url)
  const secrets = [...protocols, ...searchParams.values()]
  const words = secrets.reduce(
    (rest, secret) => (secret === '' ? rest : rest.replaceAll(secret, '…')),
    reason,
  )
  const meaning = meanings[code] ?? `the server closed it with the code ${code}`
  const error = new RivuletError(
    'connection-failed',
    `The WebSocket to ${host} failed: ${meaning}.${words === '' ? '' : ` The server says: ${words}`}`,
  )
  return { kind: 'failure', error, mayRetry: busyCodes.has(code) }
}

/** Returns the `stream_id` of an event; undefined if it has none. */
function readStreamId(data: string): string | undefined {
  try {
    const event: unknown = JSON.parse(data)
    return isObject(event) && typeof event.stream_id === 'string' ? event.stream_id : undefined
  } catch {
    return undefined
  }
}
