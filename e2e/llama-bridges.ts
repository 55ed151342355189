// Other protocols in front of a real llama.cpp server. The bridges are written for the tests: the tokens are the model's.
import { create } from '@bufbuild/protobuf'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createParser } from 'eventsource-parser'
import { WebSocketServer, type WebSocket } from 'ws'
import {
  startEngineServer,
  type AnswerRequest,
  type EngineServer,
} from '../workers/remote/grpc-web/engine-server.test-support.js'
import { SamplingParamsSchema, type SamplingParams } from '../workers/remote/grpc-web/vllm_engine_pb.js'
import type { RealServer } from './real-server.js'

/** A new connection for each request: llama.cpp's server can close an idle one at the moment at which it is used again. */
const jsonHeaders = { 'content-type': 'application/json', connection: 'close' }

/** Reads the data of server-sent events. */
async function* readData({ body }: Response): AsyncGenerator<string, undefined, undefined> {
  const events: string[] = []
  const parser = createParser({ onEvent: ({ data }) => events.push(data) })
  const decoder = new TextDecoder()
  for await (const bytes of body!) {
    parser.feed(decoder.decode(bytes as Uint8Array, { stream: true }))
    yield* events.splice(0)
  }
}

/** A message of llama.cpp's `/completion`. */
interface Completion {
  readonly tokens: readonly number[]
  readonly stop: boolean
  readonly stop_type?: 'eos' | 'limit' | 'word'
  readonly tokens_evaluated?: number
  readonly tokens_cached?: number
  readonly timings?: { readonly cache_n?: number }
}

/** Returns a form in llama.cpp's fields. It has none for a pattern. */
function writeForm({ case: kind, value }: SamplingParams['constraint']): object {
  if (kind === 'jsonObject') return { json_schema: {} }
  if (kind === 'jsonSchema') return { json_schema: JSON.parse(value) as object }
  return kind === 'grammar' ? { grammar: value } : {}
}

/**
 * Starts vLLM's gRPC service in front of llama.cpp's `/completion`, which takes and returns token ids.
 * @param endId the token that ends an answer: vLLM sends it, llama.cpp does not
 */
export async function startLlamaEngine({ url, model }: RealServer, endId: number): Promise<EngineServer> {
  const answer: AnswerRequest = async function* ({ input, samplingParams }, { signal }) {
    const params = samplingParams ?? create(SamplingParamsSchema)
    const { temperature = 1, topK, topP, minP, repetitionPenalty, maxTokens, seed, constraint } = params
    const body = {
      prompt: input.value && typeof input.value === 'object' ? input.value.inputIds : input.value,
      stream: true,
      return_tokens: true,
      cache_prompt: true,
      temperature,
      top_k: topK,
      top_p: topP,
      min_p: minP,
      repeat_penalty: repetitionPenalty,
      // vLLM counts the whole text: here, the context.
      repeat_last_n: 512,
      frequency_penalty: params.frequencyPenalty,
      presence_penalty: params.presencePenalty,
      n_predict: maxTokens ?? -1,
      logit_bias: Object.entries(params.logitBias).map(([id, bias]) => [Number(id), bias]),
      ...(seed !== undefined && { seed }),
      ...writeForm(constraint),
    }
    const response = await fetch(new URL('/completion', url), {
      method: 'POST',
      headers: jsonHeaders,
      body: JSON.stringify(body),
      signal,
    })
    if (!response.ok) throw new Error(`llama.cpp answered ${response.status}: ${await response.text()}`)
    let promptTokens = 0
    let cachedTokens = 0
    for await (const data of readData(response)) {
      const { tokens, stop, stop_type, tokens_evaluated, timings } = JSON.parse(data) as Completion
      promptTokens = tokens_evaluated ?? promptTokens
      cachedTokens = timings?.cache_n ?? cachedTokens
      const tokenIds = stop_type === 'eos' ? [...tokens, endId] : [...tokens]
      const counts = { promptTokens, cachedTokens, completionTokens: tokenIds.length }
      if (tokenIds.length > 0) yield { response: { case: 'chunk', value: { tokenIds, ...counts } } }
      const finishReason = stop_type === 'limit' ? 'length' : 'stop'
      if (stop)
        yield { response: { case: 'complete', value: { outputIds: tokenIds, finishReason, ...counts } } }
    }
  }
  const server = await startEngineServer(answer)
  server.modelInfo = () => ({ servedModelName: model, maxContextLength: 512, eosTokenIds: [endId] })
  return server
}

/** A server of the Responses API over WebSockets. */
export interface SocketBridge {
  /** The base URL, with the API's version. */
  readonly url: string
  close(): void
}

/** Starts WebSockets in front of llama.cpp's `/v1/responses`: each event of its answer is a message. */
export async function startSocketBridge({ url }: RealServer): Promise<SocketBridge> {
  async function forward(socket: WebSocket, message: string, signal: AbortSignal): Promise<void> {
    const { type: _, ...body } = JSON.parse(message) as Readonly<Record<string, unknown>>
    const response = await fetch(`${url}/responses`, {
      method: 'POST',
      headers: jsonHeaders,
      body: JSON.stringify({ ...body, stream: true }),
      signal,
    })
    if (!response.ok) {
      const { error } = (await response.json()) as { readonly error: unknown }
      return socket.send(JSON.stringify({ type: 'error', status: response.status, error }))
    }
    for await (const data of readData(response)) {
      if (data !== '[DONE]') socket.send(data)
    }
  }

  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    if (request.method === 'OPTIONS') return void response.end()
    const answer = await fetch(new URL(request.url ?? '/', url))
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
  })
  server.on('upgrade', (request: IncomingMessage, tcp, head) => {
    sockets.handleUpgrade(request, tcp, head, (socket) => {
      const closed = new AbortController()
      socket.on('close', () => closed.abort())
      socket.on('message', (data: Buffer) => {
        forward(socket, String(data), closed.signal).catch(() => socket.close(1011))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/v1`,
    close() {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      server.close()
      server.closeAllConnections()
    },
  }
}
