import { RivuletError } from './errors.js'

/** @returns true for the error of a lost GPU: loading the model again may help, and a slower way to run it does not */
export function isDeviceLost(error: unknown): error is RivuletError {
  return error instanceof RivuletError && error.code === 'device-lost'
}
