import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The time between two words. */
export const wordMs = 20
export const words = ['Once', ' upon', ' a', ' time']

/** A stand-in for vLLM's server that follows its documentation, and fails on request. */
export interface FakeServer {
  readonly url: string
  /** The number of answers whose connection the client closed before the end. */
  closedEarly: number
  /** When each word of an endless answer was sent. */
  readonly sentMs: number[]
  /** The time before the first word. */
  prefillMs: number
  /** Closes the connection after the second word. */
  isBroken: boolean
  /** The answer never ends. */
  isEndless: boolean
  /** Writes as much as the socket takes, and never ends. */
  isFlooding: boolean
  sentBytes: number
  close(): void
}

export async function startFakeServer(): Promise<FakeServer> {
  const state = {
    closedEarly: 0,
    sentMs: [] as number[],
    prefillMs: 0,
    isBroken: false,
    isEndless: false,
    isFlooding: false,
    sentBytes: 0,
  }
  const send = (response: ServerResponse, data: object | string) =>
    response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
  /** In vLLM's pieces: the name first, then the arguments. */
  const sendCall = (response: ServerResponse, name: string) => {
    for (const call of [
      { id: 'call_1', type: 'function', function: { name, arguments: '' } },
      ...['{"animal": "d', 'ragon", "age": 7}'].map((text) => ({ function: { arguments: text } })),
    ]) {
      send(response, { choices: [{ delta: { tool_calls: [{ index: 0, ...call }] }, finish_reason: null }] })
    }
  }
  const createChunk = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] })
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*, Authorization, Content-Type')
    if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    if (request.url === '/v1/models') {
      return void response.end(JSON.stringify({ data: [{ id: 'story-model', max_model_len: 2048 }] }))
    }
    const body = await readBody(request)
    response.setHeader('content-type', 'text/event-stream')
    response.flushHeaders()
    let isDone = false
    response.once('close', () => {
      if (!isDone) state.closedEarly += 1
    })
    if (state.prefillMs > 0) await new Promise((resolve) => setTimeout(resolve, state.prefillMs))
    // vLLM's option to continue the last message, which is the assistant's.
    const assistantPrefix = body.continue_final_message ? (body.messages?.at(-1)?.content ?? '') : ''
    const [tool] = body.tool_choice === 'required' ? (body.tools ?? []) : []
    if (tool) sendCall(response, tool.function.name)
    const left = tool
      ? []
      : words.filter((_, index) => words.slice(0, index + 1).join('').length > assistantPrefix.length)
    for (const [index, word] of left.entries()) {
      send(response, createChunk(word))
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (state.isBroken && index === 1) return void response.destroy()
    }
    if (state.isFlooding) {
      const closed = once(response, 'close')
      while (!response.destroyed) {
        const hasRoom = send(response, createChunk('more '.repeat(2000)))
        state.sentBytes += 10_000
        if (!hasRoom) await Promise.race([once(response, 'drain'), closed])
      }
    }
    while (state.isEndless && !response.destroyed) {
      send(response, createChunk(' more'))
      state.sentMs.push(Date.now())
      await new Promise((resolve) => setTimeout(resolve, wordMs))
    }
    send(response, { choices: [{ delta: {}, finish_reason: tool ? 'tool_calls' : 'stop' }] })
    send(response, { choices: [], usage: { prompt_tokens: 9, completion_tokens: words.length } })
    isDone = true
    send(response, '[DONE]')
    response.end()
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

interface ChatRequest {
  readonly messages?: readonly { readonly role: string; readonly content: string }[]
  readonly continue_final_message?: boolean
  readonly tools?: readonly { readonly function: { readonly name: string } }[]
  readonly tool_choice?: unknown
}

async function readBody(request: IncomingMessage): Promise<ChatRequest> {
  let body = ''
  for await (const piece of request) body += String(piece)
  return JSON.parse(body || '{}') as ChatRequest
}
