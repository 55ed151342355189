import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { readPieces } from '../read-pieces.js'
import type { DescribedRequest } from './describe-request.js'
import { readEvents, type StreamItem } from './event-stream.js'
import { createServerConnection, type ServerAccess } from './server-connection.js'

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

/** Creates a transport over server-sent events (HTML Living Standard, 9.2), as used by OpenAI's API and vLLM. */
export function createSseTransport(access: ServerAccess): Transport {
  const { baseUrl } = access
  const { watch, open, send, notify, redact } = createServerConnection(access)
  return {
    redact,
    notify,

    async *stream(request, signal): AsyncGenerator<StreamItem, undefined> {
      const connection = watch(signal)
      try {
        const describe = () => describeInit(request)
        const response = await open(request.path, describe, connection, (failure) => request.correct(failure))
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

    async get(path, signal) {
      const connection = watch(signal)
      try {
        const response = await send(path, {}, connection.signal)
        return !response.ok ? undefined : await response.json().catch(() => undefined)
      } finally {
        connection.end()
      }
    },
  }
}

function describeInit({ body }: DescribedRequest): RequestInit {
  if (body === undefined) return {}
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}
