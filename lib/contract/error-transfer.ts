import { transferHandlers, type TransferHandler } from 'comlink'
import { RivuletError, describeError, type ErrorCode, type ErrorDetails } from './errors.js'

/** A thrown value as plain data. */
export type SerializedThrown = SerializedError | { readonly kind: 'value'; readonly value: unknown }

/** An error as plain data. Keeps what structured cloning of an `Error` loses: code, text, details and causes. */
export interface SerializedError {
  readonly kind: 'error'
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly code: ErrorCode | undefined
  readonly text: string
  readonly details: ErrorDetails
  readonly cause: SerializedThrown | undefined
}

/** The maximum number of `cause` levels that are sent. This limit also ends a cyclic chain of causes. */
const maxCauseDepth = 8

/**
 * Converts a thrown value to data that `postMessage` can send. A value that is not an error stays what it is, as in a stream
 * of the platform. One that cannot be cloned becomes an `Error` with its description.
 */
export function serializeThrown(thrown: unknown, depth = 0): SerializedThrown {
  if (!(thrown instanceof Error) && canClone(thrown)) return { kind: 'value', value: thrown }
  return serializeError(thrown instanceof Error ? thrown : new Error(describeError(thrown)), depth)
}

function serializeError(error: Error, depth: number): SerializedError {
  const hasCause = error.cause !== undefined && depth < maxCauseDepth
  return {
    kind: 'error',
    name: error.name,
    message: error.message,
    stack: error.stack,
    code: error instanceof RivuletError ? error.code : undefined,
    text: error instanceof RivuletError ? error.text : '',
    details: error instanceof RivuletError ? error.details : {},
    cause: hasCause ? serializeThrown(error.cause, depth + 1) : undefined,
  }
}

function canClone(value: unknown): boolean {
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}

/** Converts serialized data back to the thrown value. */
export function deserializeThrown(data: SerializedThrown): unknown {
  return data.kind === 'value' ? data.value : deserializeError(data)
}

/** Converts serialized data back to an error, with its original stack. A `RivuletError` becomes a `RivuletError` again. */
export function deserializeError(data: SerializedError): Error {
  const cause = data.cause && { cause: deserializeThrown(data.cause) }
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
        ? [{ isError: true, value: serializeError(thrown.value, 0) }, []]
        : original.serialize(thrown),
    deserialize: (data) => {
      if (data.isError && data.value.code !== undefined) throw deserializeThrown(data.value)
      return original.deserialize(data)
    },
  } satisfies TransferHandler<ThrownValue, ThrownData>)
}
