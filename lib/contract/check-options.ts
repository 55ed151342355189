import { RivuletError } from './errors.js'

/** @throws RivuletError `invalid-option` for an option that is not in `names` */
export function refuseUnknown(what: string, options: object, names: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      refuse(`${what} has no option "${name}". It has: ${names.join(', ')}.`, name)
    }
  }
}

/**
 * @param option the option's name as the caller wrote it
 * @throws RivuletError `invalid-option`
 */
export function refuse(message: string, option?: string): never {
  throw new RivuletError('invalid-option', message, option === undefined ? {} : { details: { option } })
}
