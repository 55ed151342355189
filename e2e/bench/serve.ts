import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const mediaTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.wasm': 'application/wasm',
}

/** The server of the benchmark. */
export interface BenchServer {
  readonly url: string
  /** Limits the rate of all connections together, in bytes per second; undefined for no limit. */
  setRate(bytesPerSecond: number | undefined): void
  close(): void
}

/** Serves the built page and, below `models/`, the models. */
export async function serveBench(pageFolder: string, modelsFolder: string): Promise<BenchServer> {
  const pace = createPace()
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = join('/', decodeURIComponent(pathname))
    const model = /^\/models\/(.*)$/.exec(path)?.[1]
    const file =
      model === undefined ? join(pageFolder, path === '/' ? 'index.html' : path) : join(modelsFolder, model)
    const stats = statSync(file, { throwIfNoEntry: false })
    if (!stats?.isFile()) return void response.writeHead(404).end()
    response.writeHead(200, {
      'content-length': stats.size,
      'last-modified': stats.mtime.toUTCString(),
      'content-type': mediaTypes[extname(file)] ?? 'application/octet-stream',
      // The names of the built files contain their hashes.
      ...(pathname.includes('/assets/') && { 'cache-control': 'max-age=31536000, immutable' }),
      // WASM threads and `measureUserAgentSpecificMemory` need a cross-origin isolated page.
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    })
    if (request.method === 'HEAD') response.end()
    else void pipeline(createReadStream(file), pace.send, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://localhost:${port}/`, setRate: pace.setRate, close: () => void server.close() }
}

/** Sends the pieces of all connections one after the other, at a rate that can change. */
function createPace() {
  let bytesPerSecond = Infinity
  let nextMs = 0
  return {
    setRate(limit = Infinity) {
      bytesPerSecond = limit
    },
    async *send(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces) {
        const nowMs = performance.now()
        nextMs = Math.max(nowMs, nextMs) + (piece.length / bytesPerSecond) * 1000
        // Timers are inexact. A later piece makes up for a wait that is left out.
        if (nextMs - nowMs > 2) await new Promise((resolve) => setTimeout(resolve, nextMs - nowMs))
        yield piece
      }
    },
  }
}
