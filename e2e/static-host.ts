import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
}

/** A plain host of static files. */
export interface StaticHost {
  /** The folder's URL, with a slash at the end. */
  readonly url: string
  /** Sent with every response. */
  headers: Readonly<Record<string, string>>
  /** The folder that is served. Setting another one deploys another version of the site. */
  folder: string
  close(): void
}

/** Serves a folder below a path, without ranges or validators, like hosts where headers cannot be set. */
export async function startStaticHost(folder: string, prefix = '/some/deep/path/'): Promise<StaticHost> {
  const state = { headers: {} as Readonly<Record<string, string>>, folder }
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname
    const path = join(state.folder, name.slice(prefix.length))
    const exists = name.startsWith(prefix) && existsSync(path) && statSync(path).isFile()
    if (!exists) return void response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found')
    const content = readFileSync(path)
    response.writeHead(200, {
      'content-type': contentTypes[extname(path)] ?? 'application/octet-stream',
      'content-length': content.length,
      ...state.headers,
    })
    response.end(request.method === 'HEAD' ? undefined : content)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return Object.assign(state, {
    url: `http://localhost:${(server.address() as AddressInfo).port}${prefix}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  })
}
