import { RivuletError, describeError, type ErrorCode } from '../contract/errors.js'

/** The codes of the exceptions that the Prompt API names (specification: "Errors"). */
const codes = {
  QuotaExceededError: 'prompt-too-long',
  NotSupportedError: 'invalid-option',
  TypeError: 'invalid-option',
  SyntaxError: 'generation-failed',
  // The browser does not allow the model: by policy, by the user's choice, or without a click of the user before a download.
  NotAllowedError: 'backend-unavailable',
  SecurityError: 'backend-unavailable',
  // The session is gone: the browser's model process crashed, or the browser unloaded the model.
  InvalidStateError: 'device-lost',
  NetworkError: 'download-failed',
} as const satisfies Record<string, ErrorCode>

/** Returns the error of this library for an exception of the browser's model. */
export function explainBrowserFailure(error: unknown): RivuletError {
  if (error instanceof RivuletError) return error
  const { name } = error as Partial<Error>
  const code = Object.entries(codes).find(([known]) => known === name)?.[1] ?? 'generation-failed'
  return new RivuletError(code, `The browser's model failed: ${describeError(error)}`, { cause: error })
}
