import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { pause, readRetryAfterMs } from '../http-retry.js'
import { watchIdle } from '../idle-watch.js'
import { readPieces } from '../read-pieces.js'
import { readEvents } from './event-stream.js'

/** How answers come from a server. */
export interface Transport {
  /**
   * Sends `body`, and gives the answer's events as they come; the connection is read no faster than they are taken.
   * Leaving it closes the connection.
   * @throws RivuletError `connection-failed`, `invalid-option`, `prompt-too-long`, `model-not-found`; the reason of `signal`
   */
  stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<string, undefined>
  /** @returns what the server answers, or undefined where it has no such path */
  get(path: string, signal: AbortSignal): Promise<unknown>
}

/** Where a server is, and what it wants to see. */
export interface ServerAccess {
  /** With a slash at its end. */
  readonly baseUrl: string
  readonly headers: Readonly<Record<string, string>>
  /** A connection that brings no byte for so long is given up; comments count, by which servers keep it alive. */
  readonly idleTimeoutMs: number
}

/** Requests that a busy server has turned away, the first included. */
const maxAttempts = 4
const firstPauseMs = 500
/** A header's shorter words are no secrets, but its scheme. */
const minSecretLength = 8
/** Of a server's own words in an error. */
const maxMessageLength = 500

/** Server-sent events (HTML Living Standard, 9.2), as OpenAI's API and vLLM's send them. */
export function createSseTransport({ baseUrl, headers, idleTimeoutMs }: ServerAccess): Transport {
  const watch = (signal: AbortSignal) =>
    watchIdle(
      idleTimeoutMs,
      signal,
      () => new RivuletError('connection-failed', `${baseUrl} sent nothing for ${idleTimeoutMs} ms.`),
    )

  async function send(path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(new URL(path, baseUrl), { ...init, signal, cache: 'no-store' })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw new RivuletError(
        'connection-failed',
        `${baseUrl} could not be reached (${describeError(error)}): it is down, or CORS or the page's CSP (connect-src) forbids it.`,
        { cause: error },
      )
    }
  }

  /** Waits for a server that says that it is busy. */
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

  /** Some servers quote the key that they refuse. */
  function redact(words: string): string {
    const values = Object.values(headers)
    const secrets = values.concat(values.flatMap((value) => value.split(' ')))
    return secrets
      .filter((secret) => secret.length >= minSecretLength)
      .reduce((rest, secret) => rest.replaceAll(secret, '…'), words)
  }

  async function explainRefusal(response: Response): Promise<RivuletError> {
    const said = redact(readMessage(await response.text().catch(() => '')))
    const message = `${baseUrl} answered ${response.status}: ${said || response.statusText || 'no reason given'}`
    if (response.status === 401 || response.status === 403) {
      return new RivuletError('connection-failed', `${message} See remote()'s "apiKey".`)
    }
    if (response.status === 404) return new RivuletError('model-not-found', message)
    if (response.status !== 400 && response.status !== 422) {
      return new RivuletError('connection-failed', message)
    }
    const isTooLong = /context (length|size|window|is)|too long|maximum.*tokens/i.test(said)
    return new RivuletError(isTooLong ? 'prompt-too-long' : 'invalid-option', message)
  }

  return {
    async *stream(path, body, signal): AsyncGenerator<string, undefined> {
      const connection = watch(signal)
      try {
        const response = await post(path, body, connection.signal)
        if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
          throw new RivuletError('connection-failed', `${baseUrl} did not answer with a stream of events.`)
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
          `The connection to ${baseUrl} broke: ${describeError(error)}`,
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

/** The sentence in an error's body: OpenAI's shape, vLLM's, or plain text. */
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
    // It is no JSON.
  }
  const words = typeof message === 'string' ? message : JSON.stringify(message)
  return words.trim().slice(0, maxMessageLength)
}
