import { RivuletError } from './errors.js'

/**
 * Throws an error if `object` has a property whose name is not in `names`.
 * @param owner the name of the function or object that has the properties, for the error message: `onnx()`
 * @param kind the word for a property in the error message
 * @throws RivuletError `invalid-option`; the message names the unknown property and lists the valid ones
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
 * Checks the option `chatTemplate` of a backend. Only the worker knows the names of the model's templates.
 * @param owner the backend's function, for the error message: `onnx`
 * @throws RivuletError `invalid-option`
 */
export function checkChatTemplate(owner: string, chatTemplate: unknown): void {
  if (chatTemplate === undefined || (typeof chatTemplate === 'string' && chatTemplate.trim() !== '')) return
  refuse(`${owner}({ chatTemplate }) must be a Jinja template or the name of a template.`, 'chatTemplate')
}

/**
 * Throws the error for an invalid option.
 * @param option the option's name as the caller wrote it
 * @throws RivuletError `invalid-option`
 */
export function refuse(message: string, option?: string): never {
  throw new RivuletError('invalid-option', message, option === undefined ? {} : { details: { option } })
}

/** The most texts that `endTokens` may have. */
const maxEndTokens = 64

/**
 * Checks the option `endTokens` of a backend.
 * @param owner the backend's function, for the error message: `onnx`
 * @throws RivuletError `invalid-option`
 */
export function checkEndTokens(owner: string, value: unknown): void {
  if (value === undefined) return
  const tokens: readonly unknown[] | undefined = Array.isArray(value) ? value : undefined
  if (
    tokens &&
    tokens.length <= maxEndTokens &&
    tokens.every((token) => typeof token === 'string' && token !== '')
  )
    return
  refuse(`${owner}({ endTokens }) must be a list of up to ${maxEndTokens} non-empty strings.`, 'endTokens')
}

/** The most generations that a backend can run at the same time. */
const mostConcurrentGenerations = 16

/**
 * Checks the option `maxConcurrentGenerations` of a backend.
 * @param owner the backend's function, for the error message: `onnx`
 * @throws RivuletError `invalid-option`
 */
export function checkConcurrency(owner: string, value: number = 1): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= mostConcurrentGenerations) return
  refuse(
    `${owner}({ maxConcurrentGenerations }) must be an integer from 1 to ${mostConcurrentGenerations}; got ${String(value)}.`,
    'maxConcurrentGenerations',
  )
}
