import { refuse } from '../contract/check-options.js'

/** Checks that a value is undefined or a number of milliseconds, at least 0. @throws RivuletError `invalid-option` */
export function checkMilliseconds(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return
  refuse(`"${name}" must be a number of milliseconds, at least 0.`, name)
}
