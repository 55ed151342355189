// Hosts of model files as they are, over Node's real HTTP: object stores, signed addresses, compressed files, hubs.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

/** What a host answers for a file that it does not have. */
type MissingAnswer =
  /** The status, such as 403 from S3 without the right to list, or 400 from other object stores. */
  | { readonly status: number }
  /** A page with status 200, as servers of single-page apps send. */
  | 'page'
  /** Status 404 without CORS headers: a page of another origin cannot read it. Node has no CORS: the connection closes. */
  | 'no CORS'

export interface OddHost {
  /** With a trailing slash. */
  readonly url: string
  readonly files: Map<string, Uint8Array>
  missing: MissingAnswer
  /** Files are stored compressed, and are sent compressed whatever the request accepts. */
  isStoredCompressed: boolean
  /** The body has no `Content-Length`, as when a server compresses it for each request. */
  isChunked: boolean
  /** The query that each request needs; others get 403. A signature for GET is refused for HEAD, as by S3. */
  signature: string | undefined
  /** Called before an answer: returns true if it has answered. */
  answerFirst: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** Requests as `GET path`, in order. */
  readonly requests: string[]
  /** Body bytes sent by path. */
  readonly sentBytes: Map<string, number>
  /** Removes what was recorded about requests. */
  forget(): void
  close(): Promise<void>
}

/** @param isCrossOrigin sends CORS headers; `no CORS` then leaves them out instead of closing the connection */
export async function startOddHost(
  files: Record<string, Uint8Array>,
  { isCrossOrigin = false }: { readonly isCrossOrigin?: boolean } = {},
): Promise<OddHost> {
  const state = {
    files: new Map(Object.entries(files)),
    missing: { status: 404 } as MissingAnswer,
    isStoredCompressed: false,
    isChunked: false,
    signature: undefined as string | undefined,
    answerFirst: undefined as OddHost['answerFirst'],
    requests: [] as string[],
    sentBytes: new Map<string, number>(),
    forget() {
      state.requests.length = 0
      state.sentBytes.clear()
    },
  }
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
    const path = decodeURIComponent(pathname.slice(1))
    state.requests.push(`${request.method} ${path}`)
    const file = state.files.get(path)
    if (state.missing !== 'no CORS' || file) response.setHeader('access-control-allow-origin', '*')
    if (state.answerFirst?.(request, response)) return
    const isSigned =
      search === (state.signature ?? search) && (state.signature === undefined || request.method === 'GET')
    if (!isSigned) return void response.writeHead(403).end('<Error/>')
    if (file) sendFile(request, response, path, file)
    else if (state.missing === 'page') {
      response
        .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
        .end('<!doctype html><title>App</title>')
    } else if (state.missing !== 'no CORS') response.writeHead(state.missing.status).end('<Error/>')
    else if (isCrossOrigin) response.writeHead(404).end()
    else request.socket.destroy()
  })

  function sendFile(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    file: Uint8Array,
  ): void {
    const stored = state.isStoredCompressed ? gzipSync(file) : file
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    // Chromium cannot decode a part of a compressed file, and the request fails. Node's fetch can: here it fails too.
    if (from !== undefined && state.isStoredCompressed && !isCrossOrigin && request.method === 'GET') {
      return void request.socket.destroy()
    }
    const first = Number(from ?? 0)
    const last = Math.min(to ? Number(to) : Infinity, stored.length - 1)
    const body = stored.subarray(first, last + 1)
    response.writeHead(from === undefined ? 200 : 206, {
      etag: `"${file.length}"`,
      'content-type': 'application/octet-stream',
      ...(state.isStoredCompressed && { 'content-encoding': 'gzip' }),
      ...(!state.isChunked && { 'content-length': body.length }),
      ...(from !== undefined && { 'content-range': `bytes ${first}-${last}/${stored.length}` }),
      // Other origins see neither the encoding nor the ETag.
      'access-control-expose-headers': 'Content-Range',
    })
    if (request.method === 'HEAD') return void response.end()
    state.sentBytes.set(path, (state.sentBytes.get(path) ?? 0) + body.length)
    response.end(body)
  }

  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return Object.assign(state, {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}
