import { RivuletError } from '../lib/contract/errors.js'

/** The maximum size of a WebAssembly memory with 32-bit addresses, even with threads. The whole model must fit into it. */
export const wasmMemoryBytes = 2 ** 32

/**
 * Creates a `memory-exceeded` error.
 * @param what what is too large: the first words of the message
 * @param limitedBy the name of the limit
 */
export function createMemoryError(
  what: string,
  neededBytes: number,
  availableBytes: number,
  limitedBy: string,
): RivuletError {
  return new RivuletError(
    'memory-exceeded',
    `${what} needs ${neededBytes} bytes, but ${limitedBy} allows only ${availableBytes}. Use a smaller model or dtype.`,
    { details: { what, neededBytes, availableBytes } },
  )
}
