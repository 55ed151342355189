import { refuse } from '../contract/check-options.js'

/** @throws RivuletError `invalid-option` where it is no number of milliseconds */
export function checkMilliseconds(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return
  refuse(`"${name}" must be a number of milliseconds.`)
}
