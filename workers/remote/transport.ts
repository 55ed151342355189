import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { pause, readRetryAfterMs } from '../http-retry.js'
import { watchIdle } from '../idle-watch.js'
import { readPieces } from '../read-pieces.js'
import { readEvents } from './event-stream.js'

/** Sends requests to a server and receives its answers. */
export interface Transport {
  /**
   * Sends `body` and yields the answer's events as they arrive. Reads the connection only as fast as the events are read.
   * Ending the iteration closes the connection.
   * @throws RivuletError `connection-failed`, `invalid-option`, `prompt-too-long`, `model-not-found`; the reason of `signal`
   */
  stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<string, undefined>
  /**
   * Sends a GET request.
   * @returns the server's JSON answer; undefined if the server does not have the path, or if the answer is not JSON
   */
  get(path: string, signal: AbortSignal): Promise<unknown>
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
/** The length to which a server's error message is cut. */
const maxMessageLength = 500

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

  /** Sends a POST request, and retries while the server answers that it is busy. */
  async function post(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const init = {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }
    for (let attempt = 1; ; attempt += 1) {
      const response = await send(path, init, signal)
      if (response.ok) return response
      const isBusy = response.status === 429 || response.status === 503
      if (!isBusy || attempt === maxAttempts) throw await explainRefusal(response)
      response.body?.cancel().catch(() => {})
      await pause(readRetryAfterMs(response) ?? firstPauseMs * 2 ** (attempt - 1), signal)
    }
  }

  function redact(message: string): string {
    const values = Object.values(headers)
    const secrets = values.concat(values.flatMap((value) => value.split(' ')))
    return secrets
      .filter((secret) => secret.length >= minSecretLength)
      .reduce((rest, secret) => rest.replaceAll(secret, '…'), message)
  }

  async function explainRefusal(response: Response): Promise<RivuletError> {
    const reason = redact(readMessage(await response.text().catch(() => '')))
    const words = reason || response.statusText || 'no reason given'
    const message = `${baseUrl} answered ${response.status}: ${/[.!?]$/.test(words) ? words : `${words}.`}`
    if (response.status === 401 || response.status === 403) {
      return new RivuletError('connection-failed', `${message} Check the "apiKey" of remote().`)
    }
    if (response.status === 404) return new RivuletError('model-not-found', message)
    if (response.status !== 400 && response.status !== 422) {
      return new RivuletError('connection-failed', message)
    }
    const isTooLong = /context (length|size|window|is)|too long|maximum.*tokens/i.test(reason)
    return new RivuletError(isTooLong ? 'prompt-too-long' : 'invalid-option', message)
  }

  return {
    redact,

    async *stream(path, body, signal): AsyncGenerator<string, undefined> {
      const connection = watch(signal)
      try {
        const response = await post(path, body, connection.signal)
        if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
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

    async get(path, signal) {
      const connection = watch(signal)
      try {
        const response = await send(path, { headers: { ...headers } }, connection.signal)
        if (response.status === 404 || response.status === 405) return undefined
        if (!response.ok) throw await explainRefusal(response)
        return await response.json().catch(() => undefined)
      } finally {
        connection.end()
      }
    },
  }
}

/** Extracts the message from the body of an error response: in OpenAI's format, in vLLM's format, or as plain text. */
export function readMessage(body: string): string {
  let message: unknown = body
  try {
    const parsed = JSON.parse(body) as {
      error?: { message?: unknown } | string
      message?: unknown
      detail?: unknown
    }
    const { error } = parsed
    message = (typeof error === 'object' ? error.message : error) ?? parsed.message ?? parsed.detail ?? ''
  } catch {
    // The body is not JSON.
  }
  const text = typeof message === 'string' ? message : JSON.stringify(message)
  return text.trim().slice(0, maxMessageLength)
}
