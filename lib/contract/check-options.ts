import { RivuletError } from './errors.js'

/**
 * Refuses an unknown property of `object`.
 * @param owner what has the properties, as the message names it: `onnx()`
 * @param kind what the message calls a property
 * @throws RivuletError `invalid-option`, naming the property and the ones that exist
 */
export function refuseUnknown(
  owner: string,
  object: object,
  names: readonly string[],
  kind: 'option' | 'field' = 'option',
): void {
  for (const name of Object.keys(object)) {
    if (!names.includes(name)) {
      refuse(`${owner} has no ${kind} "${name}". Its ${kind}s are: ${names.join(', ')}.`, name)
    }
  }
}

/**
 * Throws the error for an invalid option.
 * @param option the option's name as the caller wrote it
 * @throws RivuletError `invalid-option`
 */
export function refuse(message: string, option?: string): never {
  throw new RivuletError('invalid-option', message, option === undefined ? {} : { details: { option } })
}
