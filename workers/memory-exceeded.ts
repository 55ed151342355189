import { RivuletError } from '../lib/contract/errors.js'

/** WebAssembly's memory holds all of a model: with 32-bit addresses, and with threads, it has so much. */
export const wasmMemoryBytes = 2 ** 32

/**
 * @param what begins the sentence: what is too large
 * @param limitedBy what holds no more
 */
export function createMemoryError(
  what: string,
  neededBytes: number,
  availableBytes: number,
  limitedBy: string,
): RivuletError {
  return new RivuletError(
    'memory-exceeded',
    `${what} takes ${neededBytes} bytes; ${limitedBy} holds ${availableBytes}. Take a smaller model or dtype.`,
    { details: { what, neededBytes, availableBytes } },
  )
}
