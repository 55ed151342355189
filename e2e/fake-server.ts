import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Between its words. */
export const wordMs = 20
export const words = ['Once', ' upon', ' a', ' time']

/** A server that speaks as vLLM's documentation has it, and fails as it is told. */
export interface FakeServer {
  readonly url: string
  /** Connections that a client has closed before their end. */
  closedEarly: number
  /** When each word left. */
  readonly sentMs: number[]
  /** Before its first word. */
  prefillMs: number
  /** Breaks off behind the second word. */
  isBroken: boolean
  /** Never ends. */
  isEndless: boolean
  /** Writes as much as it can, without an end. */
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
  const say = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] })
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
    // vLLM's way to go on with a last message of the assistant's.
    const said = body.continue_final_message ? (body.messages?.at(-1)?.content ?? '') : ''
    const left = words.filter((_, index) => words.slice(0, index + 1).join('').length > said.length)
    for (const [index, word] of left.entries()) {
      send(response, say(word))
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (state.isBroken && index === 1) return void response.destroy()
    }
    while (state.isFlooding && !response.destroyed) {
      const hasRoom = send(response, say('more '.repeat(2000)))
      state.sentBytes += 10_000
      if (!hasRoom) await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
    while (state.isEndless && !response.destroyed) {
      send(response, say(' more'))
      state.sentMs.push(Date.now())
      await new Promise((resolve) => setTimeout(resolve, wordMs))
    }
    send(response, { choices: [{ delta: {}, finish_reason: 'stop' }] })
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
}

async function readBody(request: IncomingMessage): Promise<ChatRequest> {
  let body = ''
  for await (const piece of request) body += String(piece)
  return JSON.parse(body || '{}') as ChatRequest
}
