import { refuse, refuseUnknown } from './contract/check-options.js'
import type { ResponsesLoadOptions, WebSocketLoadOptions } from './contract/responses-options.js'
import type { RemoteTransport } from './remote-transport.js'

/** Options of `responses()`. */
export interface ResponsesOptions {
  /**
   * True if the server goes on with a response whose connection breaks (`background: true`). The answer is then taken up
   * behind its last token, and `result.recoveries` counts it. The server must keep the response: `store` is sent as true.
   * @default false
   */
  readonly background?: boolean | undefined
  /**
   * True if the server keeps its responses, so that a conversation is sent without what the server knows
   * (`previous_response_id`). The server then has the conversations of its users.
   * @default false
   */
  readonly store?: boolean | undefined
  /** Sends all requests over one WebSocket. `true` means `{}`. @default false */
  readonly webSocket?: boolean | ResponsesWebSocketOptions | undefined
}

/**
 * How to use a WebSocket. A browser's WebSocket sends no headers, so a key must be in `protocols`, in `query` or in a cookie.
 * It also cannot be read slowly: events wait in the worker until the stream is read.
 */
export interface ResponsesWebSocketOptions {
  /** The subprotocols to offer. They may contain a key. @default none */
  readonly protocols?: readonly string[] | undefined
  /** What to add to the URL's query. It may contain a key; servers often log URLs. @default nothing */
  readonly query?: Readonly<Record<string, string>> | undefined
  /**
   * True if the server runs several responses at once on one socket and tells them apart by `stream_id`. Otherwise requests
   * wait for each other. With `true`, cancelling one of several running answers does not stop the server: the protocol has no
   * message for it.
   * @default false
   */
  readonly multiplex?: boolean | undefined
  /**
   * The most characters of events that wait for the reader of one stream. An answer that exceeds this fails with
   * `connection-failed`.
   * @default 16777216
   */
  readonly maxUnreadLength?: number | undefined
}

/**
 * OpenAI's Responses API as the transport of `remote()`: over server-sent events, resumable with `background`, or over a
 * WebSocket. The API has no `seed`, `stop`, penalties and `topK`, and cannot continue a message.
 *
 *     remote({ baseURL, model, transport: responses({ background: true }) })
 *
 * @throws RivuletError `invalid-option`
 */
export function responses(options: ResponsesOptions = {}): RemoteTransport {
  refuseUnknown('responses()', options, ['background', 'store', 'webSocket'])
  const { background = false, store = background, webSocket = false } = options
  for (const [name, value] of Object.entries({ background, store })) {
    if (typeof value !== 'boolean') refuse(`responses({ ${name} }) must be true or false.`, name)
  }
  if (background && !store)
    refuse('responses({ background: true }) needs "store": leave "store" out.', 'store')
  if (background && webSocket !== false) {
    refuse(
      'responses() takes "background" or "webSocket", not both: a WebSocket has no background mode.',
      'background',
    )
  }
  const checked: ResponsesLoadOptions = {
    background,
    store,
    webSocket: webSocket === false ? undefined : checkWebSocket(webSocket === true ? {} : webSocket),
  }
  return {
    name: 'responses',
    options: checked,
    refused: {
      canContinue: 'The Responses API cannot continue an answer: leave it out.',
      server: 'All servers have the same fields in the Responses API: leave it out.',
      supports:
        'The API has all of it. A server that ignores a field is found out by its answer: leave it out.',
      allowMissingFinishReason: 'A response always ends with an event: leave it out.',
      ...(checked.webSocket && noHeaders),
    },
    createWorker: () =>
      new Worker(new URL('../workers/responses.worker.js', import.meta.url), {
        type: 'module',
        name: 'rivulet-responses',
      }),
  }
}

const keyAdvice =
  'A WebSocket of a browser sends no headers: put the key into responses({ webSocket: { protocols } }) or ({ query }).'
const noHeaders = { apiKey: keyAdvice, headers: keyAdvice }

const defaultUnreadLength = 2 ** 24

function checkWebSocket(options: ResponsesWebSocketOptions): WebSocketLoadOptions {
  if (typeof options !== 'object' || options === null) {
    refuse('responses({ webSocket }) must be true, false or an object.', 'webSocket')
  }
  refuseUnknown('responses({ webSocket })', options, ['protocols', 'query', 'multiplex', 'maxUnreadLength'])
  const { protocols = [], query = {}, multiplex = false, maxUnreadLength = defaultUnreadLength } = options
  // Subprotocols are tokens (RFC 6455, 4.1; RFC 9110, 5.6.2), each offered once.
  const areTokens =
    Array.isArray(protocols) && protocols.every((each) => /^[!#$%&'*+.^_`|~\w-]+$/.test(String(each)))
  if (!areTokens || new Set(protocols).size < protocols.length) {
    refuse(
      'responses({ webSocket: { protocols } }) must be a list of different subprotocol names.',
      'protocols',
    )
  }
  const isText = (value: unknown) => typeof value === 'string'
  if (typeof query !== 'object' || query === null || !Object.values(query).every(isText)) {
    refuse('responses({ webSocket: { query } }) must be an object from names to strings.', 'query')
  }
  if (typeof multiplex !== 'boolean') {
    refuse('responses({ webSocket: { multiplex } }) must be true or false.', 'multiplex')
  }
  if (!Number.isSafeInteger(maxUnreadLength) || maxUnreadLength < 1) {
    refuse(
      'responses({ webSocket: { maxUnreadLength } }) must be an integer of at least 1.',
      'maxUnreadLength',
    )
  }
  return { protocols: [...protocols], query: { ...query }, multiplex, maxUnreadLength }
}
