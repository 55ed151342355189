import { asRivuletError, type ErrorCode } from './errors.js'

/** An error as OpenAI's API writes it. */
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

/** Whose fault it is; all others are the server's, which is here. */
const statuses: Partial<Record<ErrorCode, number>> = {
  'invalid-option': 400,
  'prompt-too-long': 400,
  'chat-template-failed': 400,
  'model-not-found': 404,
  'queue-full': 429,
  'engine-disposed': 503,
}

/** The codes that clients know; ours elsewhere. */
const openaiCodes: Partial<Record<ErrorCode, string>> = {
  'invalid-option': 'invalid_value',
  'prompt-too-long': 'context_length_exceeded',
  'model-not-found': 'model_not_found',
  'queue-full': 'rate_limit_exceeded',
}

/** A thrown value with the status, type and code that clients know. */
export function describeFailure(thrown: unknown): ErrorBody {
  const { code, message } = asRivuletError(thrown, 'generation-failed', 'The model failed')
  const param = code === 'invalid-option' ? (/^"([^"]+)"/.exec(message)?.[1] ?? null) : null
  return writeError(statuses[code] ?? 500, openaiCodes[code] ?? code, message, param)
}

/** An error of HTTP's own, which no call of this library throws. */
export function writeError(
  status: number,
  code: string,
  message: string,
  param: string | null = null,
): ErrorBody {
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  return { status, body: { error: { message, type, param, code } } }
}
