import { RivuletError } from '../contract/errors.js'

/** @throws RivuletError `invalid-option` for an option that `what` has not */
export function refuseUnknown(what: string, options: object, names: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) refuse(`${what} has no option "${unknown}"; it has: ${names.join(', ')}.`)
}

/** @throws RivuletError `invalid-option` where it is no number of milliseconds */
export function checkMilliseconds(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return
  refuse(`"${name}" must be a number of milliseconds.`)
}

/** @throws RivuletError `invalid-option` */
export function refuse(message: string): never {
  throw new RivuletError('invalid-option', message)
}
