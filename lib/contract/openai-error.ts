import { asRivuletError, type ErrorCode } from './errors.js'

/** An error response of OpenAI's API. */
export interface ErrorBody {
  readonly status: number
  /** True if a retry would fail in the same way. */
  readonly isFinal?: true
  readonly body: {
    readonly error: {
      readonly message: string
      readonly type: string
      readonly param: string | null
      readonly code: string
    }
  }
}

/** The HTTP status of each error that the client can fix or retry later. All other errors have status 500. */
const statuses: Partial<Record<ErrorCode, number>> = {
  'invalid-option': 400,
  'prompt-too-long': 400,
  'chat-template-failed': 400,
  'model-not-found': 404,
  'queue-full': 429,
  'engine-disposed': 503,
}

/** OpenAI's own codes, which clients know. Other errors keep the code of this library. */
const openaiCodes: Partial<Record<ErrorCode, string>> = {
  'invalid-option': 'invalid_value',
  'prompt-too-long': 'context_length_exceeded',
  'model-not-found': 'model_not_found',
  'queue-full': 'rate_limit_exceeded',
}

/** The codes of failures that a retry can help against. Clients retry every status from 500 on, unless a header says no. */
const passingFailures: ReadonlySet<ErrorCode> = new Set([
  'connection-failed',
  'device-lost',
  'download-failed',
  'queue-full',
  'worker-failed',
])

/** Converts a thrown value to an error response of OpenAI's API. `param` is the refused field, if there is one. */
export function describeFailure(thrown: unknown): ErrorBody {
  const error = asRivuletError(thrown, 'generation-failed', 'The model failed')
  const { code, message } = error
  const param = error.code === 'invalid-option' ? error.details.option : undefined
  const response = writeError(statuses[code] ?? 500, openaiCodes[code] ?? code, message, param)
  return passingFailures.has(code) ? response : { ...response, isFinal: true }
}

/** Creates an error response. Call it directly for a failure that is not a `RivuletError`, such as HTTP 403. */
export function writeError(status: number, code: string, message: string, param?: string): ErrorBody {
  const type =
    status === 429 ? 'rate_limit_exceeded' : status < 500 ? 'invalid_request_error' : 'server_error'
  return { status, body: { error: { message, type, param: param ?? null, code } } }
}

/** Returns the response for an error. Its header `x-should-retry: false` stops the retries of OpenAI's clients. */
export function respondWithError({ status, body, isFinal }: ErrorBody): Response {
  const headers = { ...createResponseHeaders(), ...(isFinal && { 'x-should-retry': 'false' }) }
  return Response.json(body, { status, headers })
}

/** Returns the headers of every response: clients report `x-request-id`. */
export function createResponseHeaders(): Record<string, string> {
  const random = crypto.getRandomValues(new Uint32Array(4))
  return {
    'x-request-id': `req_${Array.from(random, (part) => part.toString(16).padStart(8, '0')).join('')}`,
  }
}
