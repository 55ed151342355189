import { RivuletError } from '../lib/contract/errors.js'

/** The maximum size of a WebAssembly memory with 32-bit addresses, even with threads. The whole model must fit into it. */
export const wasmMemoryBytes = 2 ** 32

/** Older browsers report this much memory, in GiB, for all devices that have more. */
const cappedDeviceMemory = 8

/** The memory that a model may use, in bytes; `Infinity` if there is no limit. */
export interface MemoryLimit {
  readonly bytes: number
  /** Names the source of the limit in the error message. */
  readonly limitedBy: string
}

/**
 * Returns the limit for the weights and the KV cache of a model. Without a budget, it is the memory of the device, in browsers
 * that report it: a tab that uses more is closed without an error.
 * @param usesWasm the whole model is in the memory of WebAssembly
 * @param budgetBytes the option `memoryBudgetBytes`
 */
export function limitMemory(usesWasm: boolean, budgetBytes: number | undefined): MemoryLimit {
  const budget =
    budgetBytes === undefined
      ? { bytes: readDeviceMemory(), limitedBy: 'the memory of this device' }
      : { bytes: budgetBytes, limitedBy: 'the option "memoryBudgetBytes"' }
  return usesWasm && wasmMemoryBytes < budget.bytes
    ? { bytes: wasmMemoryBytes, limitedBy: 'the memory of WebAssembly' }
    : budget
}

/**
 * Returns an upper bound of this device's memory, in bytes; `Infinity` if the browser does not report one, as Safari and Firefox.
 * Browsers round to a power of two: a device with 6 GiB reports 4 (Device Memory API, section 3).
 */
function readDeviceMemory(): number {
  const { deviceMemory } = navigator as typeof navigator & { readonly deviceMemory?: number }
  return deviceMemory !== undefined && deviceMemory < cappedDeviceMemory
    ? deviceMemory * 1.5 * 2 ** 30
    : Infinity
}

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
