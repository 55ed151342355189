import { RivuletError, type ErrorCode } from '../../lib/contract/errors.js'

/** A failure that a server reports, in any of the forms that servers use. */
export interface ServerFailure {
  /** The server's message; empty if it gave none. */
  readonly words: string
  /** The server's codes for the failure, such as `context_length_exceeded rate_limit_error`, in lower case. */
  readonly codes: string
  /** The HTTP status, or a code in the message that is one. */
  readonly status: number | undefined
  /** The field of the request that the server refuses, if it names it. */
  readonly field: string | undefined
}

export type Json = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function asObject(value: unknown): Json {
  return isObject(value) ? value : {}
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The length to which a server's error message is cut. */
const maxMessageLength = 500

/**
 * Finds the failure in a JSON value that a server sent in an answer or instead of it. The forms: `{"error": …}` (OpenAI),
 * `{"object": "error", "message": …}` (vLLM before 0.10), `{"type": "error", …}` (Anthropic), `{"error_code": …}` (FastChat),
 * `{"errors": […]}` (Cloudflare), `{"base_resp": …}` (MiniMax), `{"detail": …}` (FastAPI), a message alone; also in a choice
 * (OpenRouter) and in an array (Gemini).
 */
export function findFailure(value: unknown): ServerFailure | undefined {
  if (Array.isArray(value)) return value.map(findFailure).find((failure) => failure !== undefined)
  if (!isObject(value)) return undefined
  const [error] = Array.isArray(value.errors) ? value.errors : [value.error]
  if (isPresent(error)) return describe(error, value)
  const { base_resp: response } = value
  if (isObject(response) && isFailureCode(response.status_code)) return describe(response)
  if (value.object === 'error' || value.type === 'error' || isFailureCode(value.error_code))
    return describe(value)
  if (Array.isArray(value.choices))
    return value.choices.map(findChoiceFailure).find((found) => found !== undefined)
  const isMessage =
    typeof value.message === 'string' || isPresent(value.detail) || typeof value.error_msg === 'string'
  return isMessage && value.choices === undefined ? describe(value) : undefined
}

function findChoiceFailure(choice: unknown): ServerFailure | undefined {
  if (!isObject(choice)) return undefined
  const { error, delta, message } = choice
  const found = [error, isObject(delta) && delta.error, isObject(message) && message.error].find(isPresent)
  return found === undefined ? undefined : describe(found)
}

/** True for a code that is not 0: `{"error_code": 0}` and `{"status_code": 0}` report a success. */
function isFailureCode(code: unknown): boolean {
  return isPresent(code) && Number(code) !== 0
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

function describe(error: unknown, outer: Json = {}): ServerFailure {
  const inner = isObject(error) ? error : {}
  const sources = [inner, outer]
  const codes = sources.flatMap(({ code, type, error_code, status, status_code }) => [
    code,
    type,
    error_code,
    status,
    status_code,
  ])
  const status = codes.map(Number).find((code) => Number.isInteger(code) && code >= 400 && code < 600)
  const field = [inner.param, outer.param].find((name) => typeof name === 'string' && name !== '')
  return {
    words: cut(typeof error === 'object' ? readWords(error) : String(error)),
    codes: codes.filter(isPresent).join(' ').toLowerCase(),
    status,
    field: field as string | undefined,
  }
}

function readWords(error: unknown): string {
  if (!isObject(error)) return JSON.stringify(error)
  const { message, msg, error_msg, status_msg, detail, text, error: inner } = error
  const words = [message, msg, error_msg, status_msg, detail, text, inner].find(isPresent)
  return typeof words === 'string' ? words : words === undefined ? JSON.stringify(error) : readWords(words)
}

function cut(words: string): string {
  return words.trim().slice(0, maxMessageLength)
}

/** Reads the failure from the body of a response: JSON in any form, or text. */
export function readFailureBody(body: string, status?: number): ServerFailure {
  const text = { words: cut(body), codes: '', field: undefined }
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return { ...text, status }
  }
  const failure = findFailure(value) ?? {
    ...text,
    words: isObject(value) ? '' : text.words,
    status: undefined,
  }
  return { ...failure, status: status ?? failure.status }
}

/** True if the failure says that the prompt, or the prompt with the answer, exceeds the model's context. */
function isTooLong({ words, codes, status }: ServerFailure): boolean {
  if (status === 413 || /context_length|exceed_context|above_max_length|too_large|too_long/.test(codes))
    return true
  // A rate limit counts tokens too.
  if (status === 429 || /rate_limit|quota/.test(codes)) return false
  return /context (length|size|window|is)|too long|maximum.*tokens|exceed.*tokens/i.test(words)
}

/** True if a retry cannot help although the status says so: the account has no credit left. */
export function isOutOfQuota({ words, codes }: ServerFailure): boolean {
  return (
    /insufficient_quota|billing|insufficient_balance/.test(codes) ||
    /exceeded your current quota/i.test(words)
  )
}

/** The codes of this library for the codes of servers. The first match counts. */
const meanings: readonly {
  readonly codes: RegExp
  readonly statuses: readonly number[]
  readonly code: ErrorCode
}[] = [
  {
    codes: /api_key|authentication|unauthorized|permission|forbidden/,
    statuses: [401, 403],
    code: 'connection-failed',
  },
  { codes: /quota|billing|balance/, statuses: [402], code: 'connection-failed' },
  {
    codes: /rate_limit|overloaded|unavailable|capacity|timeout/,
    statuses: [408, 429, 502, 503, 504, 529],
    code: 'connection-failed',
  },
  { codes: /model_not_found|not_found/, statuses: [404], code: 'model-not-found' },
  { codes: /invalid|unsupported|bad_?request|validation/, statuses: [400, 422], code: 'invalid-option' },
]

/** Returns this library's code for a failure; undefined if the server's codes and words say nothing more than that it failed. */
function findCode(failure: ServerFailure): 'prompt-too-long' | ErrorCode | undefined {
  if (isTooLong(failure)) return 'prompt-too-long'
  const { codes, status } = failure
  const hasMeaning = (meaning: (typeof meanings)[number]) =>
    meaning.codes.test(codes) || (status !== undefined && meaning.statuses.includes(status))
  return meanings.find(hasMeaning)?.code
}

const isAboutKey = ({ codes, status }: ServerFailure) =>
  status === 401 || status === 403 || meanings[0]!.codes.test(codes)

/**
 * Returns the error for a failure that a server reports.
 * @param sentence who failed, and how: the error's message starts with it
 * @param otherwise the code if the server's codes and words say nothing more than that it failed
 */
export function toError(
  failure: ServerFailure,
  sentence: string,
  otherwise: 'generation-failed' | 'connection-failed',
): RivuletError {
  const words = failure.words || 'no reason given'
  const message = `${sentence}: ${/[.!?]$/.test(words) ? words : `${words}.`}`
  const code = findCode(failure) ?? otherwise
  if (code === 'model-not-found' && !/model/i.test(words + failure.codes)) {
    return new RivuletError('connection-failed', `${message} Check the "baseURL" of remote().`)
  }
  if (isAboutKey(failure))
    return new RivuletError('connection-failed', `${message} Check the "apiKey" of remote().`)
  if (isOutOfQuota(failure))
    return new RivuletError('connection-failed', `${message} Check the account of the "apiKey".`)
  // Cast: none of these codes has required details.
  return new RivuletError(code as 'generation-failed', message)
}
