// A server with OpenAI's Responses API, written for the tests after the documentation: HTTP with server-sent events, background
// responses that can be taken up again, and WebSockets.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

export type ResponseEvent = Readonly<Record<string, unknown>> & { readonly type: string }
export type Body = Readonly<Record<string, unknown>>

/** Returns the events of one response, with their numbers. `id` is `resp_1` for the first response of a server. */
export type CreateEvents = (id: string, body: Body) => readonly ResponseEvent[]

/** Numbers the events of a response. */
export function numberEvents(
  events: readonly (Readonly<Record<string, unknown>> & { readonly type: string })[],
): readonly ResponseEvent[] {
  return events.map((event, index) => Object.assign({ sequence_number: index }, event))
}

export interface ResponsesServer {
  /** The base URL, with the API's version. */
  readonly url: string
  /** Method and path of each HTTP request, in order. */
  readonly requests: string[]
  /** The body of each response that was requested, over either protocol. */
  readonly bodies: Body[]
  /** Who owns the model, by the list of models. */
  ownedBy: string
  /** Called with the HTTP answer for the next requests, instead of the server's own answer. */
  readonly replies: ((response: ServerResponse) => void)[]
  /** The number of bytes after which the next streams are cut off. */
  readonly cuts: number[]
  /** How long it waits before it cuts a stream off: Chromium drops bytes that nobody has read yet. @default 0 */
  cutDelayMs: number
  /** True to cut streams off with a reset (RST) instead of an end (FIN). */
  resets: boolean
  /** Called for each message of a WebSocket, instead of the server's own answer. */
  onMessage: ((socket: WebSocket, body: Body) => void) | undefined
  /** Called for each WebSocket before it is accepted. @returns an HTTP status to refuse it with */
  onUpgrade: ((request: IncomingMessage) => number | undefined) | undefined
  readonly sockets: WebSocket[]
  /** Resolves when a client has closed the connection of an answer that was not over. */
  readonly left: Promise<void>
  close(): void
}

export async function startResponsesServer(createEvents: CreateEvents): Promise<ResponsesServer> {
  const kept = new Map<string, readonly ResponseEvent[]>()
  let onLeft = () => {}
  let count = 0
  const respond = (body: Body): readonly [string, readonly ResponseEvent[]] => {
    state.bodies.push(body)
    const id = `resp_${(count += 1)}`
    return [id, createEvents(id, body)]
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    if (method === 'OPTIONS') return void response.end()
    const { pathname, searchParams } = new URL(url, 'http://localhost')
    if (pathname === '/v1/models') {
      const model = { id: 'story-model', owned_by: state.ownedBy }
      return void response.end(JSON.stringify({ data: [model] }))
    }
    state.requests.push(`${method} ${url}`)
    const body = await readBody(request)
    response.once('close', () => {
      if (!response.writableFinished) onLeft()
    })
    const reply = state.replies.shift()
    if (reply) return reply(response)
    const [, id, action] = /^\/v1\/responses\/([^/]+)(?:\/(\w+))?$/.exec(pathname) ?? []
    if (action === 'cancel') return void response.end('{}')
    if (id !== undefined) {
      const after = Number(searchParams.get('starting_after'))
      const events = kept.get(id)
      if (!events) return void response.writeHead(404).end('{"error":{"message":"Response not found"}}')
      const rest = events.filter(({ sequence_number: number }) => Number(number) > after)
      return sendEvents(response, rest, state)
    }
    const [created, events] = respond(body)
    if (body.background === true) kept.set(created, events)
    return sendEvents(response, events, state)
  }

  const server = createServer((request, response) => void answer(request, response))
  const webSockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, tcp, head) => {
    const status = state.onUpgrade?.(request)
    if (status !== undefined) return void tcp.end(`HTTP/1.1 ${status} Refused\r\n\r\n`)
    webSockets.handleUpgrade(request, tcp, head, (socket) => {
      state.sockets.push(socket)
      socket.on('close', () => onLeft())
      socket.on('message', (data: Buffer) => {
        const body = JSON.parse(String(data)) as Body
        if (state.onMessage) {
          state.bodies.push(body)
          return state.onMessage(socket, body)
        }
        for (const event of respond(body)[1]) sendMessage(socket, event, body)
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const state: ResponsesServer = {
    url: `http://localhost:${(server.address() as AddressInfo).port}/v1/`,
    requests: [],
    bodies: [],
    replies: [],
    ownedBy: 'the test',
    cuts: [],
    cutDelayMs: 0,
    resets: false,
    onMessage: undefined,
    onUpgrade: undefined,
    sockets: [],
    left: new Promise((resolve) => (onLeft = resolve)),
    close() {
      webSockets.close()
      for (const socket of state.sockets) socket.terminate()
      server.close()
      server.closeAllConnections()
    },
  }
  return state
}

/** Sends an event, with the id of the stream that the request named. */
export function sendMessage(socket: WebSocket, event: ResponseEvent, { stream_id }: Body): void {
  socket.send(JSON.stringify(stream_id === undefined ? event : { ...event, stream_id }))
}

async function readBody(request: IncomingMessage): Promise<Body> {
  let text = ''
  for await (const piece of request) text += String(piece)
  return text === '' ? {} : (JSON.parse(text) as Body)
}

/** Writes events as a body of server-sent events. */
const writeEvents = (events: readonly ResponseEvent[]) =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')

function sendEvents(
  response: ServerResponse,
  events: readonly ResponseEvent[],
  { cuts, cutDelayMs, resets }: ResponsesServer,
): void {
  const cut = cuts.shift()
  const bytes = Buffer.from(writeEvents(events))
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  if (cut === undefined || cut >= bytes.length) return void response.end(bytes)
  const close = () => (resets ? response.socket?.resetAndDestroy() : response.destroy())
  response.write(bytes.subarray(0, cut), () => setTimeout(close, cutDelayMs))
}
