import { RivuletError } from '../lib/contract/errors.js'

/** The maximum WebAssembly memory with 32-bit addresses, with threads too. It must hold the whole model. */
export const wasmMemoryBytes = 2 ** 32

/**
 * @param what starts the sentence: what is too large
 * @param limitedBy names the limit
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
