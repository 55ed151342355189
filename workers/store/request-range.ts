import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { readRetryAfterMs } from '../http-retry.js'
import { watchIdle, type IdleWatch } from '../idle-watch.js'
import { readPieces } from '../read-pieces.js'

/** A failure that a retry may fix. */
export class TransferError extends Error {
  /** How long the server asks to wait before the retry, in milliseconds; 0 if the server does not ask for a pause. */
  readonly retryAfterMs: number

  constructor(
    message: string,
    { retryAfterMs = 0, cause }: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause })
    this.retryAfterMs = retryAfterMs
  }
}

/** The request got no answer that this page may read. The reason can be the network, or missing CORS headers. */
export class UnreachableError extends TransferError {}

/**
 * The cause of an error for a file that the server refuses to send, such as with 403. Some servers refuse a file that does
 * not exist (S3 without the right to list, object stores).
 */
class FileRefusal extends Error {}

/** Returns true if the server refused the file. */
export function isRefusal(error: unknown): error is RivuletError {
  return error instanceof RivuletError && error.cause instanceof FileRefusal
}

/** The file on the server changed after its download started. */
export class FileChangedError extends Error {}

/** A file's properties as the server reports them. */
export interface FileFacts {
  /** Undefined if the server does not report the size. */
  readonly sizeBytes: number | undefined
  /** The file's `ETag`; without one, its `Last-Modified`. */
  readonly validator: string | undefined
  readonly sha256: string | undefined
}

/**
 * A server's answer with the bytes of a file, as they arrive. The bytes start at the first requested byte if `isPartial` is
 * true, otherwise at the start of the file.
 */
export interface RangeAnswer extends FileFacts {
  /** False if the server ignores ranges and sends the whole file. */
  readonly isPartial: boolean
  /**
   * True if the answer was requested without a range. The browser then decodes a compressed file, and `sizeBytes` can be the
   * size of the compressed bytes.
   */
  readonly isWhole: boolean
  /** True if the answer has a `Content-Length`: the browser then reports a body that was cut. */
  readonly hasLength: boolean
  /** The `Content-Length`: the number of bytes as they are sent, compressed or not. */
  readonly sentBytes: number | undefined
  /** The bytes, in pieces. @throws TransferError */
  readonly pieces: AsyncGenerator<Uint8Array, undefined>
  /** Closes the connection. */
  end(): void
}

export interface RangeRequest {
  readonly url: string
  readonly first: number
  /** The position of the last requested byte (inclusive). */
  readonly last: number
  /** What is known about the file; the answer must match. */
  readonly expected?: FileFacts | undefined
  readonly headers: Readonly<Record<string, string>>
  /** `reload` if the browser's HTTP cache keeps the file too, for what it makes of it. @default 'no-store' */
  readonly cache?: 'no-store' | 'reload' | undefined
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Requests a part of a file.
 * With a range, servers do not compress the body (Fetch standard, "HTTP-network-or-cache fetch"), so its length is known.
 * Chromium cannot read such a part of a file that is stored compressed: the request then fails with `UnreachableError`.
 * @returns undefined if the server has no such file
 * @throws TransferError, FileChangedError; RivuletError `download-failed` if a retry would not help
 */
export function requestRange(request: RangeRequest): Promise<RangeAnswer | undefined> {
  return openAnswer(request, async (signal) => {
    const response = await send(request, `bytes=${request.first}-${request.last}`, signal)
    const isOfUnknownFile = response?.status === 206 && !response.headers.has('content-range')
    if (!isOfUnknownFile || request.expected?.sizeBytes !== undefined) return response
    // Some servers do not expose `Content-Range` to other origins. The whole file is then requested.
    response.body?.cancel().catch(() => {})
    return send(request, undefined, signal)
  })
}

/**
 * Requests a whole file. The server may compress it.
 * @returns undefined if the server has no such file
 * @throws TransferError; RivuletError `download-failed` if a retry would not help
 */
export async function requestWhole(
  request: Omit<RangeRequest, 'first' | 'last'>,
): Promise<RangeAnswer | undefined> {
  const whole = { ...request, first: 0, last: Infinity, expected: undefined }
  const answer = await openAnswer(whole, (signal) => send(whole, undefined, signal))
  return answer && { ...answer, isWhole: true }
}

async function openAnswer(
  request: RangeRequest,
  ask: (signal: AbortSignal) => Promise<Response | undefined>,
): Promise<RangeAnswer | undefined> {
  const { idleTimeoutMs } = request
  const url = hideQuery(request.url)
  const watch = watchIdle(
    idleTimeoutMs,
    request.signal,
    () => new TransferError(`${url} sent no data for ${idleTimeoutMs} ms.`),
  )
  try {
    const response = await ask(watch.signal)
    const answer = response && readAnswer({ ...request, url }, response)
    if (!answer) {
      response?.body?.cancel().catch(() => {})
      watch.end()
    }
    const pieces = readWatched(url, response?.body ?? null, watch)
    const length = response?.headers.get('content-length') ?? undefined
    const sentBytes = length === undefined ? undefined : Number(length)
    const hasLength = length !== undefined
    return answer && { ...answer, isWhole: false, hasLength, sentBytes, pieces, end: watch.end }
  } catch (error) {
    watch.end()
    throw error
  }
}

async function send(
  { url, expected, headers, cache = 'no-store' }: RangeRequest,
  range: string | undefined,
  signal: AbortSignal,
): Promise<Response | undefined> {
  const conditional = expected && isStrongEtag(expected.validator) && isSameOrigin(url)
  const sent = {
    ...headers,
    ...(range !== undefined && { range }),
    // Only on this origin: elsewhere the header costs a preflight request, and the answer's validator is compared anyway.
    ...(conditional && { 'if-range': expected.validator }),
  }
  let response: Response
  try {
    // The store keeps the file; the HTTP cache would keep a second copy.
    response = await fetch(url, { headers: sent, signal, cache })
  } catch (error) {
    throw explainFetch(hideQuery(url), error, signal, UnreachableError)
  }
  if (response.ok || response.status === 416) return response
  if (response.status === 404 || response.status === 410) return undefined
  const message = `${hideQuery(url)} answered ${response.status} ${response.statusText}`.trim()
  if (response.status === 408 || response.status === 429 || response.status >= 500) {
    throw new TransferError(`${message}.`, { retryAfterMs: readRetryAfterMs(response) })
  }
  throw createRefusal(
    response.status === 401 || response.status === 403
      ? `${message}. For a private model, set the Authorization header in "download.headers".`
      : `${message}.`,
  )
}

/** Creates the error for a file that the server refuses to send. */
export function createRefusal(message: string): RivuletError {
  return new RivuletError('download-failed', message, { cause: new FileRefusal(message) })
}

/** Returns the URL for an error message. A query can be a secret signature. */
export function hideQuery(url: string): string {
  return url.replace(/\?.*$/, '')
}

function readAnswer(
  { url, first, last, expected }: RangeRequest,
  response: Response,
): (FileFacts & Pick<RangeAnswer, 'isPartial'>) | undefined {
  const range = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  const facts = readFacts(response)
  const total = range?.[3] === undefined || range[3] === '*' ? undefined : Number(range[3])
  if (response.status === 416) {
    // An empty file has no byte 0.
    if (total === 0 && first === 0) return { ...facts, sizeBytes: 0, isPartial: false }
    throw new FileChangedError(`${url} is now shorter than ${first} bytes.`)
  }
  if (isPage(response)) {
    if (!expected || Object.values(expected).every((fact) => fact === undefined)) return undefined
    throw new TransferError(`${url} answered with a web page instead of the file.`)
  }
  if (response.status !== 206) {
    checkSame(url, expected, facts)
    return { ...facts, isPartial: false }
  }
  const answer = { ...facts, sizeBytes: total ?? expected?.sizeBytes }
  checkSame(url, expected, answer)
  const end = Math.min(last, (answer.sizeBytes ?? Infinity) - 1)
  const isRequestedRange = range
    ? Number(range[1]) === first && Number(range[2]) === end
    : facts.sizeBytes === end - first + 1
  if (isRequestedRange) return { ...answer, isPartial: true }
  throw new TransferError(
    `${url} sent ${response.headers.get('content-range') ?? 'another range'} instead of bytes ${first} to ${end}.`,
  )
}

/**
 * Returns true if the response is an HTML page. Servers of single-page apps answer an unknown path with their index page; a
 * model file is never HTML.
 */
export function isPage({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/html') ?? false
}

/** Returns what identifies the version of a file that was fetched as a whole; without a validator, the sent length. */
export function nameVersion({ validator, sizeBytes }: FileFacts): string | undefined {
  return validator ?? (sizeBytes === undefined ? undefined : `${lengthPrefix}${sizeBytes}`)
}

/** Starts no ETag and no date. The length is the one of the bytes as they were sent, compressed or not. */
const lengthPrefix = 'length '

/** Compares a file's validator and size with the expected ones. @throws FileChangedError if they differ */
function checkSame(url: string, expected: FileFacts | undefined, facts: FileFacts): void {
  const differs = (name: keyof FileFacts) =>
    expected?.[name] !== undefined && facts[name] !== undefined && expected[name] !== facts[name]
  if (differs('validator') || differs('sizeBytes'))
    throw new FileChangedError(`${url} has changed on the server.`)
}

/** Reads a file's properties from the headers of a response. */
export function readFacts({ headers }: Response): FileFacts {
  // With a content encoding, `Content-Length` is the length of the encoded bytes, not of the file.
  const length = headers.has('content-encoding') ? null : headers.get('content-length')
  const linked = /^"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '')
  return {
    sizeBytes: length === null ? undefined : Number(length),
    validator: headers.get('etag') ?? headers.get('last-modified') ?? undefined,
    sha256: linked?.[1],
  }
}

async function* readWatched(
  url: string,
  body: ReadableStream<Uint8Array> | null,
  watch: IdleWatch,
): AsyncGenerator<Uint8Array, undefined> {
  try {
    if (!body) return
    for await (const piece of readPieces(body)) {
      watch.touch()
      yield piece
    }
  } catch (error) {
    throw explainFetch(url, error, watch.signal, TransferError)
  } finally {
    watch.end()
  }
}

function explainFetch(
  url: string,
  error: unknown,
  signal: AbortSignal,
  FailureError: typeof TransferError,
): unknown {
  if (signal.aborted) return signal.reason
  return new FailureError(
    `${url} could not be fetched (${describeError(error)}). Check the network, the server's CORS headers and the page's CSP (connect-src).`,
    { cause: error },
  )
}

function isStrongEtag(validator: string | undefined): validator is string {
  return validator !== undefined && validator.startsWith('"')
}

function isSameOrigin(url: string): boolean {
  return new URL(url).origin === globalThis.location?.origin
}
