import { RivuletError } from '../../../lib/contract/errors.js'
import type { RemoteLoadOptions } from '../../../lib/contract/remote-options.js'
import type { GenerateRequest, RequestMessage } from '../../../lib/contract/request.js'
import { roles } from '../../../lib/contract/request.js'
import type { ResponsesLoadOptions } from '../../../lib/contract/responses-options.js'
import type { AnswerEnd, GenerationStep, ModelSupport } from '../../../lib/contract/worker-api.js'
import type { Backend, GenerateContext } from '../../backend.js'
import type { DescribedRequest } from '../describe-request.js'
import { checkDemands } from '../check-demands.js'
import { readModelList } from '../model-list.js'
import { readAnswer } from '../read-answer.js'
import { findServerKind } from '../server-kinds.js'
import { createSseTransport, type Transport } from '../transport.js'
import { describeResponse, responseOptions } from './describe-response.js'
import { createKnownResponses, type KnownResponses } from './known-responses.js'
import { readResponse } from './read-response.js'
import { createResponseSocket, type ResponseSocket } from './socket.js'

/** What the Responses API supports. It cannot continue an answer: servers take back only whole items. */
const support: Omit<ModelSupport, 'concurrency'> = {
  inputs: ['chat'],
  roles,
  options: responseOptions,
  formats: ['json', 'json-schema'],
  reasoning: ['on', 'off'],
  continuation: false,
  seededContinuation: false,
  tokenCounting: false,
  prefill: false,
  keptPrefixes: false,
}

/** llama.cpp's server takes a form in this API, and ignores it without a word (xllamacpp 2026.10.11549). */
const supportOfLlamaCpp: typeof support = {
  ...support,
  options: responseOptions.filter((name) => name !== 'responseFormat'),
  formats: [],
  hints: {
    responseFormat: "llama.cpp's server ignores it in the Responses API. Use the transport sse().",
  },
}

/** How many responses can run at the same time. The server has a queue of its own. */
const concurrency = 8

/** The options of `remote()` with this transport. */
type LoadOptions = RemoteLoadOptions & { readonly transport: ResponsesLoadOptions }

interface Server {
  readonly options: LoadOptions
  readonly transport: Transport
  readonly socket: ResponseSocket | undefined
  readonly known: KnownResponses
}

/** Runs models on any server with OpenAI's Responses API, over server-sent events or a WebSocket. */
export function createResponsesBackend(): Backend<LoadOptions> {
  let server: Server | undefined
  return {
    stepsInFlight: 0,

    async load({ options }, { signal }) {
      const { model, baseUrl, skipModelList } = options
      const { host, hostname } = new URL(baseUrl)
      const { webSocket } = options.transport
      const transport = createSseTransport(options)
      const listed = readModelList(skipModelList ? undefined : await transport.get('models', signal), model)
      const kind = findServerKind(hostname, listed.ownedBy)
      const socket = webSocket && createResponseSocket(describeSocket(options, webSocket))
      server = { options, transport, socket, known: createKnownResponses() }
      return {
        model,
        backend: 'remote',
        device: 'server',
        deviceDescription: host,
        dtype: undefined,
        execution: webSocket ? 'responses-websocket' : 'responses-sse',
        warnings: [],
        contextLength: listed.contextLength,
        supports: {
          ...(kind === 'llama-cpp' ? supportOfLlamaCpp : support),
          concurrency: webSocket && !webSocket.multiplex ? 1 : concurrency,
        },
      }
    },

    generate(request, context) {
      if (!server)
        throw new RivuletError('engine-disposed', 'The server connection was closed. Create a new engine.')
      return streamAnswer(server, request, context)
    },

    unload() {
      server?.socket?.close()
      server = undefined
      return Promise.resolve()
    },
  }
}

function describeSocket(
  { baseUrl, idleTimeoutMs }: LoadOptions,
  { protocols, query, ...options }: NonNullable<ResponsesLoadOptions['webSocket']>,
) {
  const url = new URL('responses', baseUrl)
  url.protocol = url.protocol.replace('http', 'ws')
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return { ...options, url: url.href, protocols, idleTimeoutMs }
}

function streamAnswer(
  server: Server,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const { options, transport, socket, known } = server
  const { background, store } = options.transport
  const { maxTokens } = request.options
  // No other kind of input is supported.
  const messages = request.input.kind === 'chat' ? request.input.messages : []
  const parts = readResponse(
    { ...transport, ...(socket && { stream: (sent, until) => socket.stream(sent.body ?? {}, until) }) },
    describeRequest(server, request, messages),
    {
      isBackground: background,
      maxTokens,
      onStored: (id, answer) => store && known.add(messages, answer, id),
    },
    signal,
  )
  const steps = readAnswer(parts, {
    maxTokens,
    allowMissingFinishReason: false,
    queueMs,
    startedAt: performance.now(),
  })
  return checkDemands(request.options, steps)
}

/** Describes the request: the whole conversation, or what follows a response that the server keeps. */
function describeRequest(
  { options, known }: Server,
  request: GenerateRequest,
  messages: readonly RequestMessage[],
): DescribedRequest {
  const { model, extraBody, transport } = options
  const { background, store, webSocket } = transport
  const how = { store, ...(!webSocket && { stream: true }), ...(background && { background }) }
  let continuation = store ? known.find(messages) : undefined

  const write = () => ({
    ...describeResponse(model, extraBody, request, continuation?.messages ?? messages),
    ...how,
    ...(continuation && { previous_response_id: continuation.previousId }),
  })
  let body = write()
  return {
    path: 'responses',
    get body() {
      return body
    },
    correct({ words, codes, field }) {
      if (!continuation || !/previous.?response|not.?found/i.test(`${words} ${codes} ${field ?? ''}`))
        return false
      known.remove(continuation.previousId)
      continuation = undefined
      body = write()
      return true
    },
  }
}
