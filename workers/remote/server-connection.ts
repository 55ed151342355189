import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { pause, readRetryAfterMs } from '../http-retry.js'
import { watchIdle, type IdleWatch } from '../idle-watch.js'
import { isOutOfQuota, readFailureBody, toError, type ServerFailure } from './server-failure.js'

/** A server's address, and the headers and timeout to use. */
export interface ServerAccess {
  /** The base URL of the API, with a trailing slash. */
  readonly baseUrl: string
  readonly headers: Readonly<Record<string, string>>
  /** How long a connection may be silent before it is aborted. Comments that servers send to keep it open count as data. */
  readonly idleTimeoutMs: number
}

/** Sends HTTP requests to a server, whichever protocol they carry. */
export interface ServerConnection {
  /** Starts the timeout of a silent connection. */
  watch(signal: AbortSignal): IdleWatch
  /** Sends a request. @throws RivuletError `connection-failed` if the server cannot be reached; the reason of `signal` */
  send(path: string, init: RequestInit, signal: AbortSignal): Promise<Response>
  /**
   * Sends a request. Sends it again while the server says that it is busy, and after each correction. The timeout does
   * not run while the server's own delay is awaited.
   * @param correct returns true if it has corrected what the server refuses
   * @throws RivuletError `connection-failed`, `invalid-option`, `prompt-too-long`, `model-not-found`; the reason of the
   *   connection's signal
   */
  open(
    path: string,
    describe: () => RequestInit,
    connection: IdleWatch,
    correct?: (failure: ServerFailure) => boolean,
  ): Promise<Response>
  /** Sends a POST request, also while the worker ends. Its answer, or its failure, is not read. */
  notify(path: string, init?: RequestInit): void
  /** Removes the secrets in the request headers from a server's message: some servers quote the key that they refuse. */
  redact(message: string): string
}

/** The maximum number of attempts for one request, if the server answers that it is busy. */
export const maxAttempts = 4
export const firstPauseMs = 500
/** Shorter words of a header, such as `Bearer`, are not treated as secrets. */
const minSecretLength = 8
/** The statuses of a server that is busy. 529 is Anthropic's. */
const busyStatuses = new Set([429, 503, 529])
/** The statuses of a request that may be accepted after a correction. */
const correctableStatuses = new Set([400, 404, 410, 413, 422])

export function createServerConnection({ baseUrl, headers, idleTimeoutMs }: ServerAccess): ServerConnection {
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

  const withHeaders = (init: RequestInit): RequestInit => ({
    ...init,
    headers: { ...headers, ...(init.headers as Readonly<Record<string, string>> | undefined) },
  })

  async function send(path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(new URL(path, baseUrl), { ...withHeaders(init), signal, cache: 'no-store' })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw new RivuletError(
        'connection-failed',
        `${baseUrl} could not be reached (${describeError(error)}). Check that the server is running, and check its CORS headers and the page's CSP (connect-src).`,
        { cause: error },
      )
    }
  }

  return {
    redact,
    send,

    watch: (signal) =>
      watchIdle(
        idleTimeoutMs,
        signal,
        () =>
          new RivuletError(
            'connection-failed',
            `${baseUrl} sent no data for ${idleTimeoutMs} ms. Retry, or increase "idleTimeoutMs".`,
          ),
      ),

    async open(path, describe, connection, correct = () => false) {
      for (let attempt = 1; ;) {
        const response = await send(path, describe(), connection.signal)
        if (response.ok) return response
        const failure = readFailureBody(await response.text().catch(() => ''), response.status)
        if (correctableStatuses.has(response.status) && correct(failure)) continue
        if (attempt === maxAttempts || !mayRetry(response, failure)) throw explainRefusal(response, failure)
        connection.pause()
        await pause(readRetryAfterMs(response) ?? firstPauseMs * 2 ** (attempt - 1), connection.signal)
        connection.touch()
        attempt += 1
      }
    },

    notify(path, init = {}) {
      fetch(new URL(path, baseUrl), { method: 'POST', ...withHeaders(init), keepalive: true }).then(
        (response) => response.body?.cancel(),
        () => {},
      )
    },
  }
}

/** True if the server is busy, or asks for a retry as OpenAI's servers do. */
function mayRetry({ status, headers }: Response, failure: ServerFailure): boolean {
  const wish = headers.get('x-should-retry')
  if (wish !== null) return wish === 'true'
  return busyStatuses.has(status) && !isOutOfQuota(failure)
}
