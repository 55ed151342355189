import { asRivuletError, type ErrorCode } from './errors.js'

/** An error response of OpenAI's API. */
export interface ErrorBody {
  readonly status: number
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

/** Converts a thrown value to an error response of OpenAI's API. `param` is the refused field, if there is one. */
export function describeFailure(thrown: unknown): ErrorBody {
  const error = asRivuletError(thrown, 'generation-failed', 'The model failed')
  const { code, message } = error
  const param = error.code === 'invalid-option' ? error.details.option : undefined
  return writeError(statuses[code] ?? 500, openaiCodes[code] ?? code, message, param)
}

/** Creates an error response. Call it directly for a failure that is not a `RivuletError`, such as HTTP 403. */
export function writeError(status: number, code: string, message: string, param?: string): ErrorBody {
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  return { status, body: { error: { message, type, param: param ?? null, code } } }
}
