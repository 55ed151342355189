import { once } from 'node:events'
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

/** A proxy that records where a browser's requests go. It only reaches this machine. */
export interface LoggingProxy {
  readonly url: string
  /** The origin of each request, or the host and port of each tunnel. */
  readonly origins: Set<string>
  close(): void
}

const isLocal = (hostname: string) => hostname === 'localhost' || hostname === '127.0.0.1'

export async function startLoggingProxy(): Promise<LoggingProxy> {
  const origins = new Set<string>()
  const agent = new Agent({ keepAlive: true })

  function pass(incoming: IncomingMessage, response: ServerResponse): void {
    const { origin, hostname, port, pathname, search } = new URL(incoming.url ?? '/', 'http://proxy.invalid')
    origins.add(origin)
    if (!isLocal(hostname)) return void response.writeHead(502).end()
    const { method, headers } = incoming
    const outgoing = request({ agent, host: 'localhost', port, path: pathname + search, method, headers })
    outgoing.on('response', (answer) => {
      response.writeHead(answer.statusCode!, answer.rawHeaders).flushHeaders()
      answer.pipe(response)
      // The server closed the connection in the middle: the browser must see that.
      answer.on('error', () => response.destroy())
    })
    outgoing.on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  }

  function tunnel({ url = '' }: IncomingMessage, client: Duplex): void {
    const { hostname, port } = new URL(`http://${url}`)
    origins.add(url)
    client.on('error', () => {})
    if (!isLocal(hostname)) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    const server = connect(Number(port), 'localhost', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      server.pipe(client).pipe(server)
    })
    server.on('error', () => client.destroy())
  }

  const server = createServer(pass).on('connect', tunnel).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    origins,
    close() {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  }
}
