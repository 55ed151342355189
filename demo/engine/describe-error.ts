import { RivuletError, type ErrorCode } from 'rivulet'

/** An error's message and code, as shown on the page. */
export interface DescribedError {
  readonly message: string
  /** Undefined if the error is not a RivuletError. */
  readonly code: ErrorCode | undefined
}

export function describeError(error: unknown): DescribedError {
  if (error instanceof RivuletError) return { code: error.code, message: error.message }
  return { code: undefined, message: error instanceof Error ? error.message : String(error) }
}
