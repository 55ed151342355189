import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'

const mediaTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.wasm': 'application/wasm',
}

/** Serves the built page and, below `models/`, the models. */
export async function serveBench(
  pageFolder: string,
  modelsFolder: string,
): Promise<{ url: string; close(): void }> {
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
      // WASM threads and `measureUserAgentSpecificMemory` need a cross-origin isolated page.
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    })
    if (request.method === 'HEAD') response.end()
    else createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://localhost:${port}/`, close: () => void server.close() }
}
