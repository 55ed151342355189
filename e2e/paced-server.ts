import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that streams its answer at a fixed rate once the test starts it. */
export interface PacedServer {
  readonly url: string
  /** Starts the answer to the pending request. */
  begin(): void
  close(): void
}

export async function startPacedServer(tokens: readonly string[], tokenMs: number): Promise<PacedServer> {
  let begin = () => {}
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*, Authorization, Content-Type')
    if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    if (request.url === '/v1/models') {
      return void response.end(JSON.stringify({ data: [{ id: 'paced-model', max_model_len: 8192 }] }))
    }
    const send = (data: object | string) =>
      response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
    response.setHeader('content-type', 'text/event-stream')
    response.flushHeaders()
    await new Promise<void>((resolve) => (begin = resolve))
    const startMs = performance.now()
    for (const [index, content] of tokens.entries()) {
      // Timed by the clock, not by the last token, so that a late token does not delay the others.
      const waitMs = startMs + index * tokenMs - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      send({ choices: [{ delta: { content }, finish_reason: null }] })
    }
    send({ choices: [{ delta: {}, finish_reason: 'stop' }] })
    send({ choices: [], usage: { prompt_tokens: 9, completion_tokens: tokens.length } })
    send('[DONE]')
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/v1`,
    begin: () => begin(),
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
