import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { isServer, serverReason } from './contract/is-server.js'
import { readHeaders } from './read-headers.js'
import {
  serverKinds,
  type RemoteLoadOptions,
  type RemoteSupport,
  type ServerKind,
} from './contract/remote-options.js'
import type { RemoteTransport } from './remote-transport.js'
import { resolveUrl } from './resolve-url.js'

export type { RemoteSupport, ServerKind } from './contract/remote-options.js'
export type { RemoteTransport } from './remote-transport.js'

/** Options of `remote()`. */
export interface RemoteOptions {
  /** The URL of the server's API, absolute or relative to the page: `https://llm.example.com/v1`. */
  readonly baseURL: string | URL
  /** The model's name on the server. */
  readonly model: string
  /** The key to send as `Authorization: Bearer …`. Every user of the page can read it: use only the user's own key. */
  readonly apiKey?: string | undefined
  /** HTTP headers to send with every request. They never appear in an error. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Aborts a request whose connection is silent for this many milliseconds. @default 60000 */
  readonly idleTimeoutMs?: number | undefined
  /**
   * True if the server can continue a partial answer, as vLLM (`continue_final_message`) and llama.cpp's server can. Then
   * the engine also accepts `continueFinalMessage`, and resumes an answer that broke off. Other servers would start the
   * answer again or refuse the request: with `false`, the server never gets a partial answer.
   * @default false
   */
  readonly canContinue?: boolean | undefined
  /**
   * The kind of server, which decides about the names of fields and about the options that are refused because this server
   * ignores them. docs/guides/structured-output.md has the table of forms, tools and reasoning.
   * @default what the host, or the owner in the server's list of models, shows; otherwise the fields of OpenAI and vLLM
   */
  readonly server?: ServerKind | undefined
  /**
   * What the server supports beyond text, where its kind does not show it. A server of unknown kind gets no form of the
   * answer, no tools and no reasoning option without this, because many servers ignore such fields.
   * @default what the kind of server supports
   */
  readonly supports?: RemoteSupport | undefined
  /**
   * True to not ask the server about itself before the first answer. The list of models (`/models`) gives the context length
   * and the kind of server; `/props` of llama.cpp's server and `/openapi.json` of vLLM and SGLang show what their version and
   * model support. An answer that is missing, or a list that does not have the model, is no error.
   * @default false
   */
  readonly skipModelList?: boolean | undefined
  /**
   * True to accept answers that end without a finish reason, from a server that sends the field `finish_reason` but never
   * fills it. With `false`, such an answer ends with `connection-failed`, because llama-cpp-python interrupts answers so.
   * @default false
   */
  readonly allowMissingFinishReason?: boolean | undefined
  /**
   * More fields for the body of each request, such as `{ reasoning_effort: 'low' }`. They are sent as they are; the options
   * of `generate` replace fields of the same name.
   * @default none
   */
  readonly extraBody?: Readonly<Record<string, unknown>> | undefined
  /**
   * The protocol. `sse()`: chat completions over server-sent events. `responses()` of `rivulet/responses`: OpenAI's Responses
   * API, over server-sent events or a WebSocket. `grpcWeb()` of `rivulet/grpc-web`: vLLM's gRPC service, with the tokenizer in
   * the page.
   * @default sse()
   */
  readonly transport?: RemoteTransport | undefined
  /**
   * Creates the worker, for bundlers that do not find its file. The worker's script must import the transport's worker:
   * `rivulet/remote.worker` for `sse()`.
   * @default a module worker from this package's file
   */
  readonly worker?: (() => Worker) | undefined
}

const optionNames: readonly string[] = [
  'baseURL',
  'model',
  'apiKey',
  'headers',
  'idleTimeoutMs',
  'canContinue',
  'server',
  'supports',
  'skipModelList',
  'allowMissingFinishReason',
  'extraBody',
  'transport',
  'worker',
] satisfies (keyof RemoteOptions)[]

/**
 * Streams from any server with OpenAI's API, such as vLLM or llama.cpp's server. With this backend, `createEngine` needs no
 * `model`, and its `download` option has no effect. Options that OpenAI's API lacks (`topK`, `minP`, `repetitionPenalty`)
 * are sent under vLLM's names, or under the server's own names. `topLogprobs` is refused, because OpenAI's API does not send
 * token ids. If the server refuses `stream_options` or `max_tokens`, or says that `maxTokens` exceeds the rest of its
 * context, the request is corrected and sent again.
 * @throws RivuletError `invalid-option`
 */
export function remote(options: RemoteOptions): BackendFactory {
  const { transport = sse(), ...serverOptions } = options
  refuseUnknown('remote()', options, optionNames)
  checkTransport(transport, options)
  const { worker = transport.createWorker, ...plainOptions } = serverOptions
  if (typeof worker !== 'function')
    refuse('remote({ worker }) must be a function that returns a Worker.', 'worker')
  const checked = checkOptions(plainOptions)
  return {
    name: 'remote',
    options: { ...checked, transport: transport.options },
    model:
      transport.tokenizer === undefined ? { kind: 'named' } : { kind: 'source', source: transport.tokenizer },
    isServer: true,
    checkAvailability: () => Promise.resolve(checkAvailability(checked.baseUrl)),
    createWorker: worker,
  }
}

/** The default transport: OpenAI's chat completions over server-sent events. */
export function sse(): RemoteTransport {
  return {
    name: 'sse',
    options: undefined,
    refused: {},
    createWorker: () =>
      new Worker(new URL('../workers/remote.worker.js', import.meta.url), {
        type: 'module',
        name: 'rivulet-remote',
      }),
  }
}

function checkTransport(transport: RemoteTransport, options: RemoteOptions): void {
  if (typeof transport !== 'object' || typeof transport?.createWorker !== 'function') {
    refuse('remote({ transport }) must be what sse(), responses() or grpcWeb() returns.', 'transport')
  }
  const refused = Object.keys(options).find(
    (name) => Object.hasOwn(transport.refused, name) && options[name as keyof RemoteOptions] !== undefined,
  )
  if (refused !== undefined) {
    refuse(
      `remote({ ${refused} }) has no effect with ${transport.name}(). ${transport.refused[refused]}`,
      refused,
    )
  }
}

/** True for a server on the user's own machine, which needs no network. */
function isLoopback(url: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)
}

function checkAvailability(baseUrl: string): BackendAvailability {
  if (isServer()) return { isAvailable: false, reason: serverReason }
  if (navigator.onLine || isLoopback(baseUrl)) return { isAvailable: true }
  return { isAvailable: false, reason: 'The browser is offline.' }
}

function checkOptions({
  baseURL,
  model,
  apiKey,
  headers = {},
  idleTimeoutMs = 60_000,
  canContinue = false,
  server,
  supports = {},
  skipModelList = false,
  allowMissingFinishReason = false,
  extraBody = {},
}: Omit<RemoteOptions, 'worker' | 'transport'>): RemoteLoadOptions {
  if (typeof model !== 'string' || model === '') {
    refuse("remote({ model }) must be the model's name on the server.", 'model')
  }
  if (typeof idleTimeoutMs !== 'number' || !(idleTimeoutMs > 0 && idleTimeoutMs < 2 ** 31)) {
    refuse('remote({ idleTimeoutMs }) must be a number of milliseconds above 0.', 'idleTimeoutMs')
  }
  for (const [name, value] of Object.entries({ canContinue, skipModelList, allowMissingFinishReason })) {
    if (typeof value !== 'boolean') refuse(`remote({ ${name} }) must be true or false.`, name)
  }
  if (server !== undefined && !serverKinds.includes(server)) {
    refuse(`remote({ server }) must be one of ${serverKinds.join(', ')}.`, 'server')
  }
  if (apiKey !== undefined && (typeof apiKey !== 'string' || apiKey === '')) {
    refuse('remote({ apiKey }) must be a non-empty string.', 'apiKey')
  }
  const sent = apiKey === undefined ? headers : { ...headers, authorization: `Bearer ${apiKey}` }
  const checked =
    readHeaders(sent) ??
    refuse('remote({ headers, apiKey }) must be names and values that HTTP can send.', 'headers')
  return {
    baseUrl: checkUrl(baseURL),
    model,
    headers: checked,
    idleTimeoutMs,
    canContinue,
    server,
    supports: checkSupport(supports),
    skipModelList,
    allowMissingFinishReason,
    extraBody: checkExtraBody(extraBody),
  }
}

const formats = ['json', 'json-schema', 'regex', 'grammar'] as const satisfies RemoteSupport['formats']
const reasoningDemands = ['on', 'off', 'budget'] as const satisfies RemoteSupport['reasoning']

function checkSupport(supports: unknown): RemoteSupport {
  if (typeof supports !== 'object' || supports === null)
    refuse('remote({ supports }) must be an object.', 'supports')
  refuseUnknown('remote({ supports })', supports, ['formats', 'tools', 'reasoning'], 'field')
  const { formats: named, tools, reasoning } = supports as Readonly<Record<keyof RemoteSupport, unknown>>
  if (tools !== undefined && typeof tools !== 'boolean') {
    refuse('remote({ supports: { tools } }) must be true or false.', 'supports')
  }
  const list = <Value extends string>(name: string, value: unknown, known: readonly Value[]) => {
    if (value === undefined) return undefined
    const all: readonly unknown[] | undefined = Array.isArray(value) ? value : undefined
    if (all?.every((each): each is Value => known.some((one) => one === each))) return all
    return refuse(`remote({ supports: { ${name} } }) must be a list of ${known.join(', ')}.`, 'supports')
  }
  return {
    formats: list('formats', named, formats),
    tools,
    reasoning: list('reasoning', reasoning, reasoningDemands),
  }
}

/** The fields that only this library sets. */
const reservedFields = ['model', 'messages', 'prompt', 'stream'] as const

/** Returns a plain copy, because the original may contain what cannot be posted to the worker. */
function checkExtraBody(extraBody: unknown): Readonly<Record<string, unknown>> {
  if (typeof extraBody !== 'object' || extraBody === null || Array.isArray(extraBody)) {
    refuse('remote({ extraBody }) must be an object.', 'extraBody')
  }
  const reserved = reservedFields.find((name) => name in extraBody)
  if (reserved !== undefined) {
    refuse(
      `remote({ extraBody }) must not contain "${reserved}", which each request sets itself.`,
      'extraBody',
    )
  }
  try {
    return JSON.parse(JSON.stringify(extraBody)) as Readonly<Record<string, unknown>>
  } catch {
    return refuse('remote({ extraBody }) must contain only what JSON can contain.', 'extraBody')
  }
}

function checkUrl(baseURL: string | URL): string {
  const url = new URL(resolveUrl('remote({ baseURL })', baseURL))
  if (!/^https?:$/.test(url.protocol))
    refuse('remote({ baseURL }) must start with https: or http:.', 'baseURL')
  if (url.username || url.password)
    refuse('remote({ baseURL }) must not contain a password. Send it with "headers".', 'baseURL')
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}
