import { RivuletError, describeError } from '../contract/errors.js'

/** Returns an exception of the platform. `cause` is the error of this library behind it. */
export function createException(name: string, message: string, cause?: unknown): DOMException {
  const exception = new DOMException(message, name)
  return cause === undefined ? exception : Object.defineProperty(exception, 'cause', { value: cause })
}

/** The figures of a `QuotaExceededError`, in tokens. */
export interface QuotaFigures {
  /** The size of the input. */
  readonly requested: number
  /** How much was available. */
  readonly quota: number
}

/** A `DOMException` with the name `QuotaExceededError` (https://webidl.spec.whatwg.org/#quotaexceedederror). */
export type QuotaExceededException = DOMException & QuotaFigures

type QuotaExceededClass = new (message: string, options: QuotaFigures) => QuotaExceededException

/** Returns a `QuotaExceededError`: the browser's, if it has the class, or a `DOMException` with the same fields. */
export function createQuotaExceededError(
  message: string,
  { requested, quota }: QuotaFigures,
): QuotaExceededException {
  // TypeScript 6.0's DOM library does not have this class yet.
  const { QuotaExceededError: Platform } = globalThis as { readonly QuotaExceededError?: QuotaExceededClass }
  if (Platform) return new Platform(message, { requested, quota })
  return Object.defineProperties(new DOMException(message, 'QuotaExceededError'), {
    requested: { value: requested, enumerable: true },
    quota: { value: quota, enumerable: true },
  }) as QuotaExceededException
}

/** Returns the exception of a failed load (explainer: "Download progress"; specification: "initialize the language model"). */
export function describeLoadFailure(error: unknown): DOMException {
  const code = error instanceof RivuletError ? error.code : undefined
  const isNetwork = code === 'download-failed' || code === 'connection-failed'
  const isUnsupported = code === 'backend-unavailable' || code === 'model-unsupported'
  const name = isNetwork ? 'NetworkError' : isUnsupported ? 'NotSupportedError' : 'OperationError'
  return createException(name, describeError(error), error)
}

/**
 * Returns the exception of a failed prompt (specification: "Errors").
 * @param isConstrained true if the answer has a `responseConstraint`
 */
export function describePromptFailure(error: unknown, isConstrained: boolean): DOMException {
  const code = error instanceof RivuletError ? error.code : undefined
  if (code === 'invalid-option' || code === 'chat-template-failed') {
    return createException('NotSupportedError', describeError(error), error)
  }
  if (code === 'engine-disposed') return createException('InvalidStateError', describeError(error), error)
  const isInvalid = code === 'value-invalid' || (isConstrained && code === 'generation-failed')
  return createException(isInvalid ? 'SyntaxError' : 'UnknownError', describeError(error), error)
}

/** Returns the exception of a call that is made after `destroy()`. */
export function destroyedError(): DOMException {
  return createException('InvalidStateError', 'The session was destroyed. Create another one.')
}
