import { RivuletError } from './errors.js'

/** @throws RivuletError `invalid-option` for an option that `what` has not */
export function refuseUnknown(what: string, options: object, names: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) refuse(`${what} has no option "${name}"; it has: ${names.join(', ')}.`)
  }
}

/** @throws RivuletError `invalid-option` */
export function refuse(message: string): never {
  throw new RivuletError('invalid-option', message)
}
