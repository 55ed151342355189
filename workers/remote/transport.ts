import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { pause, readRetryAfterMs } from '../http-retry.js'
import { watchIdle, type IdleWatch } from '../idle-watch.js'
import { readPieces } from '../read-pieces.js'
import type { DescribedRequest } from './describe-request.js'
import { readEvents, type StreamItem } from './event-stream.js'
import { isOutOfQuota, readFailureBody, toError, type ServerFailure } from './server-failure.js'

/** Sends requests to a server and receives its answers. */
export interface Transport {
  /**
   * Sends a request and yields the parts of its answer as they arrive. Reads the connection only as fast as the parts are
   * read. Ending the iteration closes the connection.
   * @throws RivuletError `connection-failed`, `invalid-option`, `prompt-too-long`, `model-not-found`; the reason of `signal`
   */
  stream(request: DescribedRequest, signal: AbortSignal): AsyncGenerator<StreamItem, undefined>
  /**
   * Sends a GET request.
   * @returns the server's JSON answer; undefined if the server refuses the request, or if the answer is not JSON
   * @throws RivuletError `connection-failed` if the server cannot be reached; the reason of `signal`
   */
  get(path: string, signal: AbortSignal): Promise<unknown>
  /** Sends a POST request without a body, also while the worker ends. Its answer, or its failure, is not read. */
  notify(path: string): void
  /** Removes the secrets in the request headers from a server's message: some servers quote the key that they refuse. */
  redact(message: string): string
}

/** A server's address, and the headers and timeout to use. */
export interface ServerAccess {
  /** The base URL of the API, with a trailing slash. */
  readonly baseUrl: string
  readonly headers: Readonly<Record<string, string>>
  /** How long a connection may be silent before it is aborted. Comments that servers send to keep it open count as data. */
  readonly idleTimeoutMs: number
}

/** The maximum number of attempts for one request, if the server answers that it is busy. */
const maxAttempts = 4
const firstPauseMs = 500
/** Shorter words of a header, such as `Bearer`, are not treated as secrets. */
const minSecretLength = 8
/** The statuses of a server that is busy. 529 is Anthropic's. */
const busyStatuses = new Set([429, 503, 529])
/** The statuses of a request that may be accepted after a correction. */
const correctableStatuses = new Set([400, 404, 410, 413, 422])

/** Creates a transport over server-sent events (HTML Living Standard, 9.2), as used by OpenAI's API and vLLM. */
export function createSseTransport({ baseUrl, headers, idleTimeoutMs }: ServerAccess): Transport {
  const watch = (signal: AbortSignal) =>
    watchIdle(
      idleTimeoutMs,
      signal,
      () =>
        new RivuletError(
          'connection-failed',
          `${baseUrl} sent no data for ${idleTimeoutMs} ms. Retry, or increase "idleTimeoutMs".`,
        ),
    )

  async function send(path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(new URL(path, baseUrl), { ...init, signal, cache: 'no-store' })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw new RivuletError(
        'connection-failed',
        `${baseUrl} could not be reached (${describeError(error)}). Check that the server is running, and check its CORS headers and the page's CSP (connect-src).`,
        { cause: error },
      )
    }
  }

  /**
   * Sends a request. Sends it again while the server says that it is busy, and after each correction. The timeout does
   * not run while the server's own delay is awaited.
   */
  async function open(request: DescribedRequest, connection: IdleWatch): Promise<Response> {
    for (let attempt = 1; ;) {
      const response = await send(
        request.path,
        request.body === undefined
          ? { headers: { ...headers } }
          : {
              method: 'POST',
              headers: { ...headers, 'content-type': 'application/json' },
              body: JSON.stringify(request.body),
            },
        connection.signal,
      )
      if (response.ok) return response
      const failure = readFailureBody(await response.text().catch(() => ''), response.status)
      if (correctableStatuses.has(response.status) && request.correct(failure)) continue
      if (attempt === maxAttempts || !mayRetry(response, failure)) throw explainRefusal(response, failure)
      connection.pause()
      await pause(readRetryAfterMs(response) ?? firstPauseMs * 2 ** (attempt - 1), connection.signal)
      connection.touch()
      attempt += 1
    }
  }

  function redact(message: string): string {
    const values = Object.values(headers)
    const secrets = values.concat(values.flatMap((value) => value.split(' ')))
    return secrets
      .filter((secret) => secret.length >= minSecretLength)
      .reduce((rest, secret) => rest.replaceAll(secret, '…'), message)
  }

  function explainRefusal(response: Response, failure: ServerFailure): RivuletError {
    const words = redact(failure.words) || response.statusText
    return toError({ ...failure, words }, `${baseUrl} answered ${response.status}`, 'connection-failed')
  }

  return {
    redact,

    async *stream(request, signal): AsyncGenerator<StreamItem, undefined> {
      const connection = watch(signal)
      try {
        const response = await open(request, connection)
        if (!response.body || /\bhtml\b/i.test(response.headers.get('content-type') ?? '')) {
          throw new RivuletError(
            'connection-failed',
            `${baseUrl} did not answer with an event stream. Check that "baseURL" points at an OpenAI-compatible endpoint.`,
          )
        }
        connection.touch()
        for await (const events of readEvents(readPieces(response.body))) {
          connection.pause()
          yield* events
          connection.touch()
        }
      } catch (error) {
        if (connection.signal.aborted) throw connection.signal.reason
        if (error instanceof RivuletError) throw error
        throw new RivuletError(
          'connection-failed',
          `The connection to ${baseUrl} failed: ${describeError(error)}`,
          {
            cause: error,
          },
        )
      } finally {
        connection.end()
      }
    },

    notify(path) {
      const init = { method: 'POST', headers: { ...headers }, keepalive: true }
      fetch(new URL(path, baseUrl), init).then(
        (response) => response.body?.cancel(),
        () => {},
      )
    },

    async get(path, signal) {
      const connection = watch(signal)
      try {
        const response = await send(path, { headers: { ...headers } }, connection.signal)
        return !response.ok ? undefined : await response.json().catch(() => undefined)
      } finally {
        connection.end()
      }
    },
  }
}

/** True if the server is busy, or asks for a retry as OpenAI's servers do. */
function mayRetry({ status, headers }: Response, failure: ServerFailure): boolean {
  const wish = headers.get('x-should-retry')
  if (wish !== null) return wish === 'true'
  return busyStatuses.has(status) && !isOutOfQuota(failure)
}
