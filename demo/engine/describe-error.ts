import { RivuletError, type ErrorCode } from 'rivulet'

/** An error as the page shows it. */
export interface DescribedError {
  readonly message: string
  /** Undefined where it is not one of the library's. */
  readonly code: ErrorCode | undefined
}

export function describeError(error: unknown): DescribedError {
  if (error instanceof RivuletError) return { code: error.code, message: error.message }
  return { code: undefined, message: error instanceof Error ? error.message : String(error) }
}
