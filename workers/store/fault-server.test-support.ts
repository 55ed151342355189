// A file server that injects faults on request, over Node's real HTTP.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

/** A fault in one answer. */
export type Fault =
  /** One bit of the body is flipped. */
  | 'bit flip'
  /** The second half of the body is zeros. */
  | 'zero padding'
  /** The connection closes in the middle of a body whose length was sent. */
  | 'truncation'
  /** The same, without a length: only closing the connection marks the end of the body. */
  | 'silent truncation'
  /** The connection closes before an answer. */
  | 'dropped connection'
  /** The body stops in the middle; the connection stays open. */
  | 'stalled socket'
  /** A web page with status 200, as servers of single-page apps send. */
  | 'HTML with 200'
  /** Status 416 for any range. */
  | '416'
  /** A different range than requested. */
  | 'wrong Content-Range'
  /** Status 503, with `Retry-After: 0`. */
  | '503'
  /** The file changes, with a new ETag, after half of this answer. */
  | 'ETag swap'

export const faults = [
  'bit flip',
  'zero padding',
  'truncation',
  'silent truncation',
  'dropped connection',
  'stalled socket',
  'HTML with 200',
  '416',
  'wrong Content-Range',
  '503',
  'ETag swap',
] as const satisfies readonly Fault[]

interface ServedFile {
  bytes: Uint8Array
  /** The faults of the next GET requests, in order. */
  readonly faults: (Fault | undefined)[]
  /** The file after an `ETag swap`. */
  next?: Uint8Array
}

/** A received request. */
interface SeenRequest {
  readonly method: string
  readonly path: string
  /** With its question mark, or empty. */
  readonly query: string
  readonly range: string | undefined
  readonly ifRange: string | undefined
  readonly headers: IncomingMessage['headers']
  /** Body bytes of the answer so far. */
  sentBytes: number
}

export interface FaultServer {
  /** With a trailing slash. */
  readonly url: string
  readonly files: Map<string, ServedFile>
  readonly requests: SeenRequest[]
  /**
   * Body bytes sent so far, in all answers. A client that disappears goes unnoticed for some time, and the server then still
   * sends: to count what one client fetched, add up the `sentBytes` of its requests.
   */
  readonly sentBytes: number
  /** For all connections together; initially infinite. */
  bytesPerSecond: number
  hasRanges: boolean
  hasEtags: boolean
  /** Sends each file's SHA-256 in `X-Linked-ETag`, as the Hugging Face hub does. */
  sendsHashes: boolean
  /** Compresses bodies. */
  isCompressing: boolean
  /** The paths whose bodies are compressed if `isCompressing` is false. */
  readonly compressedPaths: Set<string>
  /** Sends no `Content-Length`. */
  isChunked: boolean
  /** Other origins can read only the safelisted headers. */
  hidesHeaders: boolean
  /** Answers `HEAD` with status 405. */
  refusesHead: boolean
  /** Breaks all connections. */
  isDown: boolean
  /** The required `Authorization` header, if any. */
  secret: string | undefined
  close(): Promise<void>
}

const pieceBytes = 16 * 1024

/** Serves files by path on a free port. */
export async function startFaultServer(files: Record<string, Uint8Array> = {}): Promise<FaultServer> {
  const state = {
    files: new Map(Object.entries(files).map(([path, bytes]) => [path, { bytes, faults: [] } as ServedFile])),
    requests: [] as SeenRequest[],
    sentBytes: 0,
    bytesPerSecond: Infinity,
    hasRanges: true,
    hasEtags: true,
    sendsHashes: false,
    isCompressing: false,
    compressedPaths: new Set<string>(),
    isChunked: false,
    hidesHeaders: false,
    refusesHead: false,
    isDown: false,
    secret: undefined as string | undefined,
  }
  let nextPieceMs = 0

  /** Sends the pieces of all connections one after the other, at the server's rate. */
  async function send(seen: SeenRequest, response: ServerResponse, body: Uint8Array): Promise<void> {
    for (let start = 0; start < body.length && !response.destroyed; start += pieceBytes) {
      const piece = body.subarray(start, start + pieceBytes)
      if (state.bytesPerSecond < Infinity) {
        const nowMs = performance.now()
        nextPieceMs = Math.max(nowMs, nextPieceMs) + (piece.length / state.bytesPerSecond) * 1000
        if (nextPieceMs - nowMs > 2) await new Promise((resolve) => setTimeout(resolve, nextPieceMs - nowMs))
      }
      if (response.destroyed) return
      state.sentBytes += piece.length
      seen.sentBytes += piece.length
      if (!response.write(piece)) await waitForRoom(response)
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
    const path = decodeURIComponent(pathname.slice(1))
    const { range, 'if-range': ifRange } = request.headers
    if (state.isDown) return void request.socket.destroy()
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('cross-origin-resource-policy', 'cross-origin')
    if (!state.hidesHeaders) {
      response.setHeader('access-control-expose-headers', 'ETag, Content-Range, X-Linked-ETag')
    }
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-headers', '*, Authorization')
      return void response.writeHead(204).end()
    }
    const seen: SeenRequest = {
      method: request.method ?? '',
      path,
      query: search,
      range,
      ifRange: typeof ifRange === 'string' ? ifRange : undefined,
      headers: request.headers,
      sentBytes: 0,
    }
    state.requests.push(seen)
    if (state.secret !== undefined && request.headers.authorization !== state.secret) {
      return void response.writeHead(401).end()
    }
    if (request.method === 'HEAD' && state.refusesHead) return void response.writeHead(405).end()
    const file = state.files.get(path)
    if (!file) return void response.writeHead(404).end()
    const fault = request.method === 'GET' ? file.faults.shift() : undefined
    if (fault === 'dropped connection') return void request.socket.destroy()
    if (fault === '503') return void response.writeHead(503, { 'retry-after': '0' }).end()
    if (fault === 'HTML with 200') {
      return void response
        .writeHead(200, { 'content-type': 'text/html' })
        .end('<!doctype html><title>App</title>')
    }
    const { bytes } = file
    const etag = `"${sha256(bytes)}"`
    if (state.hasEtags) response.setHeader('etag', etag)
    if (state.sendsHashes) response.setHeader('x-linked-etag', etag)
    if (fault === '416') {
      return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    }
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? []
    const isPartial = from !== undefined && state.hasRanges && (ifRange === undefined || ifRange === etag)
    const first = isPartial ? Number(from) : 0
    const last = isPartial ? Math.min(to ? Number(to) : Infinity, bytes.length - 1) : bytes.length - 1
    if (isPartial && first >= bytes.length) {
      return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    }
    const shift = fault === 'wrong Content-Range' ? 1 : 0
    if (isPartial) {
      response.statusCode = 206
      response.setHeader('content-range', `bytes ${first + shift}-${last + shift}/${bytes.length}`)
    }
    // Copies: the slice of a Node buffer would share its memory.
    let body = damage(new Uint8Array(bytes.subarray(first, last + 1)), fault)
    if (state.isCompressing || state.compressedPaths.has(path)) {
      body = gzipSync(body)
      response.setHeader('content-encoding', 'gzip')
    }
    if (fault === 'silent truncation') {
      response.setHeader('connection', 'close')
      response.useChunkedEncodingByDefault = false
    } else if (!state.isChunked) response.setHeader('content-length', body.length)
    if (request.method === 'HEAD') return void response.end()
    const isCut = fault === 'truncation' || fault === 'silent truncation'
    const half = body.subarray(0, body.length >> 1)
    if (fault === 'ETag swap' && file.next) {
      await send(seen, response, half)
      file.bytes = file.next
      return void response.destroy()
    }
    if (isCut || fault === 'stalled socket') {
      await send(seen, response, half)
      // Lets the written bytes leave before the connection closes.
      if (fault === 'truncation') setTimeout(() => response.destroy(), 50)
      if (fault === 'silent truncation') response.end()
      return
    }
    await send(seen, response, body)
    response.end()
  }

  const server = createServer((request, response) => {
    // A client that disconnects is not a server error.
    answer(request, response).catch(() => response.destroy())
  })
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

function waitForRoom(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      response.off('drain', go).off('close', go)
      resolve()
    }
    response.on('drain', go).on('close', go)
  })
}

function damage(body: Uint8Array, fault: Fault | undefined): Uint8Array {
  if (fault === 'bit flip') body[body.length >> 1]! ^= 4
  if (fault === 'zero padding') body.fill(0, body.length >> 1)
  return body
}

/** Cached by array, since every answer needs it: the bytes must not change. */
export function sha256(bytes: Uint8Array): string {
  const known = hashes.get(bytes) ?? createHash('sha256').update(bytes).digest('hex')
  hashes.set(bytes, known)
  return known
}

const hashes = new WeakMap<Uint8Array, string>()

/** Pseudorandom bytes. */
export function createContent(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let index = 0, state = seed; index < words.length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    words[index] = state ^ (state >>> 15)
  }
  return new Uint8Array(words.buffer, 0, length)
}
