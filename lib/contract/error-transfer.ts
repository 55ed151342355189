import { transferHandlers, type TransferHandler } from 'comlink'
import { RivuletError, describeError, type ErrorCode, type ErrorDetails } from './errors.js'

/** An error as plain data. Keeps what structured cloning of an `Error` loses: code, text, details and causes. */
export interface SerializedError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly code: ErrorCode | undefined
  readonly text: string
  readonly details: ErrorDetails
  readonly cause: SerializedError | undefined
}

/** The maximum number of `cause` levels that are sent. This limit also ends a cyclic chain of causes. */
const maxCauseDepth = 8

/** Converts an error, or any other thrown value, to data that `postMessage` can send. */
export function serializeError(error: unknown, depth = 0): SerializedError {
  const isError = error instanceof Error
  const hasCause = isError && error.cause !== undefined && depth < maxCauseDepth
  return {
    name: isError ? error.name : 'Error',
    message: isError ? error.message : describeError(error),
    stack: isError ? error.stack : undefined,
    code: error instanceof RivuletError ? error.code : undefined,
    text: error instanceof RivuletError ? error.text : '',
    details: error instanceof RivuletError ? error.details : {},
    cause: hasCause ? serializeError(error.cause, depth + 1) : undefined,
  }
}

/** Converts serialized data back to an error, with the original stack. A `RivuletError` becomes a `RivuletError` again. */
export function deserializeError(data: SerializedError): Error {
  const cause = data.cause && { cause: deserializeError(data.cause) }
  const error =
    data.code === undefined
      ? Object.assign(new Error(data.message, cause), { name: data.name })
      : new RivuletError(data.code, data.message, { ...cause, text: data.text, details: data.details })
  if (data.stack !== undefined) error.stack = data.stack
  return error
}

/** The data that Comlink 4.4.2 sends for a thrown value. */
type ThrownData =
  | { readonly isError: true; readonly value: SerializedError }
  | { readonly isError: false; readonly value: unknown }

interface ThrownValue {
  readonly value: unknown
}

/**
 * Makes Comlink send a `RivuletError` with all its fields. Comlink's own handler sends only `name`, `message` and `stack`.
 * Every other thrown value still goes through Comlink's handler, so an app's own use of Comlink does not change.
 * Each thread calls this function once, before its first Comlink call.
 */
export function installErrorTransfer(): void {
  // Cast: Comlink's map of handlers does not keep the types of the thrown value and of the data that is sent for it.
  const original = transferHandlers.get('throw') as TransferHandler<ThrownValue, ThrownData> | undefined
  if (!original) throw new Error('This version of Comlink has no "throw" transfer handler.')
  transferHandlers.set('throw', {
    canHandle: original.canHandle,
    serialize: (thrown) =>
      thrown.value instanceof RivuletError
        ? [{ isError: true, value: serializeError(thrown.value) }, []]
        : original.serialize(thrown),
    deserialize: (data) => {
      if (data.isError && data.value.code !== undefined) throw deserializeError(data.value)
      return original.deserialize(data)
    },
  } satisfies TransferHandler<ThrownValue, ThrownData>)
}
