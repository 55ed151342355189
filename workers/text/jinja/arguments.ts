import { TemplateError } from './meter.js'
import { toIndex } from './operators.js'
import { Text } from './text.js'
import { isTrue, typeName, type Arguments, type Value } from './values.js'

/** The arguments of a call, by the names of its parameters. */
export interface Bound {
  /** Returns the argument; undefined if the call leaves it out. */
  get(name: string): Value | undefined
  /** Returns the argument; the default if the call leaves it out. None is an argument. */
  getOr(name: string, fallback: Value): Value
  /** @throws TemplateError if the call leaves the argument out */
  require(name: string): Value
  text(name: string): Text | undefined
  requireText(name: string): Text
  integer(name: string): number | undefined
  isTrue(name: string): boolean
}

/**
 * Assigns the arguments of a call to parameters.
 * @throws TemplateError for an argument without a parameter
 */
export function bind(owner: string, { positional, named }: Arguments, parameters: readonly string[]): Bound {
  if (positional.length > parameters.length) {
    throw new TemplateError(
      `${owner}() takes at most ${parameters.length} arguments (${positional.length} given)`,
    )
  }
  const values = new Map<string, Value>()
  for (const [index, value] of positional.entries()) values.set(parameters[index]!, value)
  for (const [name, value] of named) {
    if (!parameters.includes(name)) {
      throw new TemplateError(`${owner}() got an unexpected keyword argument '${name}'`)
    }
    if (values.has(name)) throw new TemplateError(`${owner}() got multiple values for argument '${name}'`)
    values.set(name, value)
  }
  const get = (name: string) => values.get(name)
  const require = (name: string) => {
    const value = get(name)
    if (value !== undefined) return value
    throw new TemplateError(`${owner}() missing required argument '${name}'`)
  }
  const text = (name: string) => {
    const value = get(name)
    if (value === undefined || value === null) return undefined
    if (value instanceof Text) return value
    throw new TemplateError(`${owner}() argument '${name}' must be str, not ${typeName(value)}`)
  }
  return {
    get,
    getOr: (name, fallback) => (values.has(name) ? get(name)! : fallback),
    require,
    text,
    requireText: (name) => {
      require(name)
      return text(name) ?? refuseNone(owner, name)
    },
    integer(name) {
      const value = get(name)
      return value === undefined || value === null ? undefined : toIndex(value)
    },
    isTrue: (name) => isTrue(get(name) ?? false),
  }
}

function refuseNone(owner: string, name: string): never {
  throw new TemplateError(`${owner}() argument '${name}' must be str, not None`)
}

/** Checks that a value is text. @throws TemplateError */
export function requireText(value: Value, owner: string): Text {
  if (value instanceof Text) return value
  throw new TemplateError(`${owner} needs a str, not ${typeName(value)}`)
}
