// Servers that answer each request with the same text, as fast as the socket takes it: one token in each event or message.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startEngineServer, writeAnswer } from '../../workers/remote/grpc-web/engine-server.test-support.js'
import {
  numberEvents,
  startResponsesServer,
  type ResponseEvent,
} from '../../workers/remote/responses/responses-server.test-support.js'
import type { TransportServers } from './page/plan.js'

const tokens = 400
const word = ' upon'
/** The token of the word in the tokenizer of the embedded model. */
const tokenId = 440
const endId = 3

export interface RunningServers extends TransportServers {
  close(): void
}

export async function startTransportServers(): Promise<RunningServers> {
  const responses = await startResponsesServer(createEvents)
  const engine = await startEngineServer(async function* () {
    yield* writeAnswer([...Array.from({ length: tokens }, () => [tokenId]), [endId]])
  })
  // Without the work of connect-node, which would be measured too.
  const recorded = await fetch(`${engine.url}vllm.grpc.engine.VllmEngine/Generate`, {
    method: 'POST',
    headers: { 'content-type': grpcType },
    body: new Uint8Array(5),
  })
  const grpcBody = Buffer.from(await recorded.arrayBuffer())
  engine.close()
  const bodies: Readonly<Record<string, readonly [type: string, body: Buffer]>> = {
    '/v1/chat/completions': ['text/event-stream', Buffer.from(writeChunks())],
    '/vllm.grpc.engine.VllmEngine/Generate': [grpcType, grpcBody],
    '/vllm.grpc.engine.VllmEngine/Abort': [grpcType, Buffer.alloc(0)],
  }
  const server = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    if (request.method === 'OPTIONS') return void response.end()
    const [type, body] = bodies[request.url ?? ''] ?? ['application/json', Buffer.from('{}')]
    request.resume().on('end', () => send(response, type, body))
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const url = `http://localhost:${(server.address() as AddressInfo).port}/`
  return {
    url,
    responsesUrl: responses.url,
    tokens,
    close() {
      responses.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

const grpcType = 'application/grpc-web+proto'

function send(response: ServerResponse, type: string, body: Buffer): void {
  response.writeHead(200, { 'content-type': type }).end(body)
}

/** The chunks of a chat completion, with vLLM's fields. */
function writeChunks(): string {
  const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'served-model' }
  const chunk = (delta: object, finish_reason: string | null) =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason }] })}\n\n`
  const words = chunk({ content: word }, null).repeat(tokens)
  return `${words}${chunk({ content: '' }, 'stop')}data: [DONE]\n\n`
}

function createEvents(id: string): readonly ResponseEvent[] {
  const place = { item_id: 'msg_1', output_index: 0, content_index: 0 }
  return numberEvents([
    { type: 'response.created', response: { id, status: 'in_progress' } },
    ...Array.from({ length: tokens }, () => ({
      type: 'response.output_text.delta',
      ...place,
      delta: word,
      logprobs: [],
    })),
    { type: 'response.completed', response: { id, usage: { input_tokens: 5, output_tokens: tokens } } },
  ])
}
