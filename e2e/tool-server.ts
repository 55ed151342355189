import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A stand-in for vLLM's server with a model that reasons, calls the demo's calculator and then answers with its result. */
export interface ToolServer {
  readonly url: string
  /** The time between two pieces of an answer. */
  pieceMs: number
  /** The arguments of the call. */
  callArguments: string
  /** The bodies of the requests. */
  readonly requests: ToolRequest[]
  close(): void
}

interface ToolRequest {
  readonly messages: readonly { readonly role: string; readonly content?: string | null }[]
  readonly tools?: readonly { readonly function: { readonly name: string } }[]
}

export async function startToolServer(): Promise<ToolServer> {
  const state = { pieceMs: 5, callArguments: '{"expression": "12 * (3 + 4)"}', requests: [] as ToolRequest[] }
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*, Authorization, Content-Type')
    if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    if (request.url === '/v1/models') {
      const model = { id: 'tool-model', max_model_len: 4096, owned_by: 'vllm' }
      return void response.end(JSON.stringify({ data: [model] }))
    }
    if (request.method !== 'POST') return void response.writeHead(404).end()
    let text = ''
    for await (const piece of request) text += String(piece)
    const body = JSON.parse(text) as ToolRequest
    state.requests.push(body)
    response.setHeader('content-type', 'text/event-stream')
    const isAnswered = body.messages.at(-1)?.role === 'tool'
    const deltas = body.tools && !isAnswered ? writeCall(state.callArguments) : writeAnswer(body)
    for (const delta of deltas) {
      send(response, { choices: [{ delta, finish_reason: null }] })
      await new Promise((resolve) => setTimeout(resolve, state.pieceMs))
    }
    const reason = body.tools && !isAnswered ? 'tool_calls' : 'stop'
    send(response, { choices: [{ delta: {}, finish_reason: reason }] })
    response.end('data: [DONE]\n\n')
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return Object.assign(state, {
    url: `http://localhost:${(server.address() as AddressInfo).port}/v1`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  })
}

const send = (response: ServerResponse, data: object) => response.write(`data: ${JSON.stringify(data)}\n\n`)

function writeCall(args: string): readonly object[] {
  const reasoning = ['The user wants a product.', ' I use the calculator.'].map((piece) => ({
    reasoning_content: piece,
  }))
  const start = {
    index: 0,
    id: 'call00001',
    type: 'function',
    function: { name: 'calculate', arguments: '' },
  }
  const pieces = args.match(/.{1,6}/g) ?? []
  return [
    ...reasoning,
    { tool_calls: [start] },
    ...pieces.map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
  ]
}

function writeAnswer({ messages }: ToolRequest): readonly object[] {
  const result = messages.findLast(({ role }) => role === 'tool')?.content
  const text = result === undefined ? 'I cannot calculate that.' : `The result is ${result}.`
  return (text.match(/\S+\s*/g) ?? []).map((content) => ({ content }))
}
