import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { readRetryAfterMs } from '../http-retry.js'
import { watchIdle, type IdleWatch } from '../idle-watch.js'
import { readPieces } from '../read-pieces.js'

/** A failure that another try may mend. */
export class TransferError extends Error {
  /** How long the server asks to be left alone, in milliseconds. */
  readonly retryAfterMs: number

  constructor(
    message: string,
    { retryAfterMs = 0, cause }: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause })
    this.retryAfterMs = retryAfterMs
  }
}

/** The file on the server is not the one that was begun. */
export class FileChangedError extends Error {}

/** What the server says of a file. */
export interface FileFacts {
  /** Undefined where the server does not say. */
  readonly sizeBytes: number | undefined
  /** Its `ETag`, or else `Last-Modified`. */
  readonly validator: string | undefined
  readonly sha256: string | undefined
}

/** A file's bytes as they come, from the first that was asked for on. */
export interface RangeAnswer extends FileFacts {
  /** False where the server sends the whole file, whatever was asked for. */
  readonly isPartial: boolean
  /** Throws `TransferError`. */
  readonly pieces: AsyncGenerator<Uint8Array, undefined>
  /** Frees the connection, for those who want no more of it. */
  end(): void
}

export interface RangeRequest {
  readonly url: string
  readonly first: number
  /** Inclusive. */
  readonly last: number
  /** What is known of the file: the answer must be of the same. */
  readonly expected?: FileFacts | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Asks for a part of a file.
 * A range also keeps servers from compressing it (Fetch standard, "HTTP-network-or-cache fetch"): its length is then known.
 * @returns undefined where the server has no such file
 * @throws TransferError, FileChangedError; RivuletError `download-failed` where it would not help to try again
 */
export async function requestRange(request: RangeRequest): Promise<RangeAnswer | undefined> {
  const { url, first, last } = request
  const { idleTimeoutMs } = request
  const watch = watchIdle(
    idleTimeoutMs,
    request.signal,
    () => new TransferError(`Nothing came for ${idleTimeoutMs} ms.`),
  )
  try {
    let response = await send(request, `bytes=${first}-${last}`, watch.signal)
    const isOfUnknownFile = response?.status === 206 && !response.headers.has('content-range')
    if (isOfUnknownFile && request.expected?.sizeBytes === undefined) {
      // Some servers do not let pages of others read this header.
      response?.body?.cancel().catch(() => {})
      response = await send(request, undefined, watch.signal)
    }
    const answer = response && readAnswer(request, response)
    if (!answer) watch.end()
    return answer && { ...answer, pieces: readWatched(url, response?.body ?? null, watch), end: watch.end }
  } catch (error) {
    watch.end()
    throw error
  }
}

async function send(
  { url, expected, headers }: RangeRequest,
  range: string | undefined,
  signal: AbortSignal,
): Promise<Response | undefined> {
  const conditional = expected && isStrongEtag(expected.validator) && isSameOrigin(url)
  const sent = {
    ...headers,
    ...(range !== undefined && { range }),
    // Elsewhere this header would cost a preflight request; the answer's own validator is compared in any case.
    ...(conditional && { 'if-range': expected.validator }),
  }
  let response: Response
  try {
    // What the browser's own cache would keep is kept by the store.
    response = await fetch(url, { headers: sent, signal, cache: 'no-store' })
  } catch (error) {
    throw explainFetch(url, error, signal)
  }
  if (response.ok || response.status === 416) return response
  if (response.status === 404 || response.status === 410) return undefined
  const message = `${url} answered ${response.status} ${response.statusText}`.trim()
  if (response.status === 408 || response.status === 429 || response.status >= 500) {
    throw new TransferError(`${message}.`, { retryAfterMs: readRetryAfterMs(response) })
  }
  throw new RivuletError(
    'download-failed',
    response.status === 401 || response.status === 403
      ? `${message}: a private model needs download: { headers }, with its Authorization.`
      : `${message}.`,
  )
}

function readAnswer(
  { url, first, last, expected }: RangeRequest,
  response: Response,
): (FileFacts & Pick<RangeAnswer, 'isPartial'>) | undefined {
  const range = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  const facts = readFacts(response)
  const total = range?.[3] === undefined || range[3] === '*' ? undefined : Number(range[3])
  if (response.status === 416) {
    // There is no first byte in an empty file.
    if (total === 0 && first === 0) return { ...facts, sizeBytes: 0, isPartial: false }
    throw new FileChangedError(`${url} has no byte ${first} any more.`)
  }
  // Servers of single-page apps answer any unknown path with their index page.
  if (response.headers.get('content-type')?.startsWith('text/html')) {
    if (!expected || Object.values(expected).every((fact) => fact === undefined)) return undefined
    throw new TransferError(`${url} answered with a web page.`)
  }
  if (response.status !== 206) {
    checkSame(url, expected, facts)
    return { ...facts, isPartial: false }
  }
  const answer = { ...facts, sizeBytes: total ?? expected?.sizeBytes }
  checkSame(url, expected, answer)
  const end = Math.min(last, (answer.sizeBytes ?? Infinity) - 1)
  const isAsked = range
    ? Number(range[1]) === first && Number(range[2]) === end
    : facts.sizeBytes === end - first + 1
  if (isAsked) return { ...answer, isPartial: true }
  throw new TransferError(
    `${url} sent ${response.headers.get('content-range') ?? 'something'} for bytes ${first} to ${end}.`,
  )
}

/** @throws FileChangedError */
function checkSame(url: string, expected: FileFacts | undefined, facts: FileFacts): void {
  const differs = (name: keyof FileFacts) =>
    expected?.[name] !== undefined && facts[name] !== undefined && expected[name] !== facts[name]
  if (differs('validator') || differs('sizeBytes')) throw new FileChangedError(`${url} has changed.`)
}

/** What a whole file's answer says of it. */
export function readFacts({ headers }: Response): FileFacts {
  // With a content encoding the length is that of the encoded bytes.
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
    throw explainFetch(url, error, watch.signal)
  } finally {
    watch.end()
  }
}

function explainFetch(url: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  return new TransferError(
    `${url} could not be fetched (${describeError(error)}): the network is down, or CORS or the page's CSP (connect-src) forbids it.`,
    { cause: error },
  )
}

function isStrongEtag(validator: string | undefined): validator is string {
  return validator !== undefined && validator.startsWith('"')
}

function isSameOrigin(url: string): boolean {
  return new URL(url).origin === globalThis.location?.origin
}
