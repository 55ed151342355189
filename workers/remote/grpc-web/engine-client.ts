import type { MessageInitShape } from '@bufbuild/protobuf'
import { Code, ConnectError, createClient, type CallOptions, type Client } from '@connectrpc/connect'
import { createGrpcWebTransport } from '@connectrpc/connect-web'
import { RivuletError, describeError } from '../../../lib/contract/errors.js'
import { pause } from '../../http-retry.js'
import type { IdleWatch } from '../../idle-watch.js'
import { firstPauseMs, maxAttempts, type ServerConnection } from '../server-connection.js'
import { toError } from '../server-failure.js'
import {
  VllmEngine,
  type GenerateRequestSchema,
  type GenerateResponse,
  type GetModelInfoResponse,
} from './vllm_engine_pb.js'

/** vLLM's service, with the errors and timeouts of `remote()`. */
export interface EngineClient {
  /**
   * Sends a request and yields the messages of its answer as they arrive. Reads the connection only as fast as the messages
   * are read. Ending the iteration closes the connection.
   * @param timeoutMs the deadline, which the server gets too; Infinity for none
   * @throws RivuletError `connection-failed` if the connection breaks; the code that the server's status means; the reason of
   *   `signal`
   */
  generate(
    request: MessageInitShape<typeof GenerateRequestSchema>,
    timeoutMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateResponse, void, undefined>
  /** @returns undefined if the server does not answer the question, as a proxy that passes on only `Generate` */
  getModelInfo(signal: AbortSignal): Promise<GetModelInfoResponse | undefined>
  /** True if an error says that the connection broke, or that the server goes away: another one may have the rest. */
  isBroken(error: unknown): boolean
  /** Ends a request on the server, also while the worker ends. Its answer, or its failure, is not read. */
  abort(requestId: string): void
}

/** Creates the client of the server at a base URL. */
export function createEngineClient(baseUrl: string, server: ServerConnection): EngineClient {
  /** A client whose requests use one connection's timeout. */
  function open(connection: IdleWatch): Client<typeof VllmEngine> {
    return createClient(
      VllmEngine,
      createGrpcWebTransport({
        baseUrl,
        async fetch(url, init = {}) {
          const headers = Object.fromEntries(new Headers(init.headers))
          const response = await server.open(String(url), () => ({ ...init, headers }), connection)
          connection.touch()
          if (/^application\/grpc/i.test(response.headers.get('content-type') ?? '')) return response
          throw new RivuletError(
            'connection-failed',
            `${baseUrl} did not answer with gRPC-Web. Check that "baseURL" points at a proxy that translates gRPC-Web for vLLM's gRPC server.`,
          )
        },
      }),
    )
  }

  async function* callOnce(
    request: MessageInitShape<typeof GenerateRequestSchema>,
    options: CallOptions,
    connection: IdleWatch,
  ): AsyncGenerator<GenerateResponse, void, undefined> {
    for await (const response of open(connection).generate(request, options)) {
      connection.pause()
      yield response
      connection.touch()
    }
  }

  /** The errors that a server has sent while it stays. */
  const refusals = new WeakSet<object>()

  return {
    isBroken: (error) =>
      error instanceof RivuletError && error.code === 'connection-failed' && !refusals.has(error),

    async *generate(request, timeoutMs, signal) {
      const connection = server.watch(signal)
      // connect-web takes 0 for no deadline.
      const deadline = Number.isFinite(timeoutMs) && { timeoutMs: Math.max(1, timeoutMs) }
      const options = { signal: connection.signal, ...deadline }
      let isOpen = false
      try {
        for (let attempt = 1; ; attempt += 1) {
          try {
            for await (const response of callOnce(request, options, connection)) {
              isOpen = true
              yield response
            }
            return
          } catch (error) {
            if (connection.signal.aborted) throw connection.signal.reason
            if (isOpen || attempt === maxAttempts || !isBusy(error)) throw explain(error)
          }
          connection.pause()
          await pause(firstPauseMs * 2 ** (attempt - 1), connection.signal)
          connection.touch()
        }
      } finally {
        connection.end()
      }
    },

    async getModelInfo(signal) {
      const connection = server.watch(signal)
      try {
        return await open(connection).getModelInfo({}, { signal: connection.signal })
      } catch (error) {
        if (connection.signal.aborted) throw connection.signal.reason
        if (isFromServer(error)) return undefined
        throw explain(error)
      } finally {
        connection.end()
      }
    },

    abort(requestId) {
      const transport = createGrpcWebTransport({
        baseUrl,
        fetch(url, init = {}) {
          server.notify(String(url), { ...init, headers: Object.fromEntries(new Headers(init.headers)) })
          return new Promise(() => {})
        },
      })
      void createClient(VllmEngine, transport).abort({ requestIds: [requestId] })
    },
  }

  /** Returns the error of this library for a failed call. */
  function explain(error: unknown): RivuletError {
    const failure = ConnectError.from(error)
    if (failure.cause instanceof RivuletError) return failure.cause
    if (failure.metadata.has('grpc-status')) return explainStatus(failure)
    if (failure.code === Code.DeadlineExceeded) {
      return new RivuletError(
        'connection-failed',
        'The answer exceeded "timeoutMs" of grpcWeb(). Retry, or increase it.',
      )
    }
    return new RivuletError(
      'connection-failed',
      `The connection to ${baseUrl} failed: ${describeError(failure.rawMessage)}. Retry.`,
      { cause: error },
    )
  }

  function explainStatus({ code, rawMessage }: ConnectError): RivuletError {
    const name = Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase()
    const failure = {
      words: server.redact(rawMessage),
      codes: name,
      status: statuses[code],
      field: undefined,
    }
    const error = toError(failure, `${baseUrl} answered "${name}"`, 'generation-failed')
    if (code !== Code.Unavailable) refusals.add(error)
    return error
  }
}

/**
 * The HTTP statuses that mean the same as gRPC's, as in google.rpc.Code. The others say only that the server failed. That a
 * method is not implemented means that something else than vLLM's server answers.
 */
const statuses: { readonly [Status in Code]?: number } = {
  [Code.InvalidArgument]: 400,
  [Code.OutOfRange]: 400,
  [Code.FailedPrecondition]: 400,
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.Unimplemented]: 404,
  [Code.ResourceExhausted]: 429,
  [Code.Unavailable]: 503,
  [Code.DeadlineExceeded]: 504,
}

/** True for a status that the server sent, in its trailers or headers. Otherwise the connection broke. */
function isFromServer(error: unknown): error is ConnectError {
  return error instanceof ConnectError && error.metadata.has('grpc-status')
}

function isBusy(error: unknown): boolean {
  return isFromServer(error) && (error.code === Code.Unavailable || error.code === Code.ResourceExhausted)
}
