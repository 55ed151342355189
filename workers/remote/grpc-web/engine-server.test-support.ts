// vLLM's gRPC service with connect-node, which speaks gRPC-Web itself: no proxy is between it and the page. Written for the
// tests after smg-grpc-servicer 0.14.1, which vLLM's server uses. What answers is up to the test: a script, or a real llama.cpp.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { HandlerContext } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import {
  VllmEngine,
  type GenerateRequest,
  type GenerateResponseSchema,
  type GetModelInfoResponseSchema,
} from './vllm_engine_pb.js'

export type EngineMessage = MessageInitShape<typeof GenerateResponseSchema>
export type AnswerRequest = (
  request: GenerateRequest,
  context: HandlerContext,
) => AsyncIterable<EngineMessage>

export interface EngineServer {
  /** The base URL. */
  readonly url: string
  readonly requests: GenerateRequest[]
  /** The headers of each request for an answer. */
  readonly headers: Headers[]
  /** The ids that were sent to `Abort`. */
  readonly aborted: string[]
  /** When the server noticed that the client had left an answer, as `performance.now()` values. */
  readonly left: number[]
  /** Answers the requests. */
  answer: AnswerRequest
  modelInfo: () => MessageInitShape<typeof GetModelInfoResponseSchema>
  /** Called with the HTTP answer for the next requests for an answer, instead of the service. */
  readonly replies: ((response: ServerResponse) => void)[]
  /** The number of bytes after which the next answers are cut off. */
  readonly cuts: number[]
  /** True to end a cut connection with RST instead of FIN. */
  resets: boolean
  /** How many bytes of answers the server has written. */
  writtenBytes: number
  close(): void
}

export async function startEngineServer(answer: AnswerRequest): Promise<EngineServer> {
  const serve = connectNodeAdapter({
    routes: (router) =>
      void router.service(VllmEngine, {
        async *generate(request, context) {
          state.requests.push(request)
          state.headers.push(context.requestHeader)
          context.signal.addEventListener('abort', () => state.left.push(performance.now()))
          yield* state.answer(request, context)
        },
        abort({ requestIds }) {
          state.aborted.push(...requestIds)
          return {}
        },
        getModelInfo: () => state.modelInfo(),
      }),
  })

  function respond(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    response.setHeader('access-control-expose-headers', 'grpc-status, grpc-message, grpc-status-details-bin')
    if (request.method === 'OPTIONS') return void response.end()
    if (request.url?.endsWith('/Generate')) {
      const reply = state.replies.shift()
      if (reply) return reply(response)
      watchBytes(response, state)
    }
    serve(request, response)
  }

  const server = createServer(respond)
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const state: EngineServer = {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    requests: [],
    headers: [],
    aborted: [],
    left: [],
    answer,
    modelInfo: () => ({}),
    replies: [],
    cuts: [],
    resets: false,
    writtenBytes: 0,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
  return state
}

/** Counts the bytes of an answer, and cuts it off where the test demands it. */
function watchBytes(response: ServerResponse, state: EngineServer): void {
  let left = state.cuts.shift() ?? Infinity
  const { socket } = response
  const write = response.write.bind(response) as (bytes: Uint8Array, ...rest: unknown[]) => boolean
  response.write = (bytes: Uint8Array, ...rest: unknown[]) => {
    const sent = bytes.subarray(0, left)
    left -= sent.length
    state.writtenBytes += sent.length
    if (left > 0) return write(bytes, ...rest)
    return write(sent, () => (state.resets ? socket?.resetAndDestroy() : response.destroy()))
  }
}

/** The messages of an answer as vLLM sends them: one for each step, and a last one that repeats the last step's tokens. */
export function* writeAnswer(
  steps: readonly (readonly number[])[],
  finishReason = 'stop',
  promptTokens = 5,
  cachedTokens = 0,
): Generator<EngineMessage, undefined, undefined> {
  for (const tokenIds of steps) {
    const value = { tokenIds: [...tokenIds], promptTokens, cachedTokens, completionTokens: tokenIds.length }
    yield { response: { case: 'chunk', value } }
  }
  const outputIds = [...(steps.at(-1) ?? [])]
  const value = { outputIds, finishReason, promptTokens, cachedTokens, completionTokens: outputIds.length }
  yield { response: { case: 'complete', value } }
}
