import { TemplateError } from './meter.js'
import { toIndex } from './operators.js'
import { Text } from './text.js'
import { isTrue, typeName, type Arguments, type Value } from './values.js'

/** The arguments of a call, by the names of its parameters. */
export class Bound {
  readonly #owner: string
  readonly #given: Arguments
  readonly #parameters: readonly string[]

  /** @throws TemplateError for an argument without a parameter, or for a parameter with two arguments */
  constructor(owner: string, given: Arguments, parameters: readonly string[]) {
    const { positional, named } = given
    if (positional.length > parameters.length) {
      throw new TemplateError(
        `${owner}() takes at most ${parameters.length} arguments (${positional.length} given)`,
      )
    }
    for (const name of named.keys()) {
      const index = parameters.indexOf(name)
      if (index === -1) throw new TemplateError(`${owner}() got an unexpected keyword argument '${name}'`)
      if (index < positional.length) {
        throw new TemplateError(`${owner}() got multiple values for argument '${name}'`)
      }
    }
    this.#owner = owner
    this.#given = given
    this.#parameters = parameters
  }

  /** Returns the argument; undefined if the call leaves it out. */
  get(name: string): Value | undefined {
    const { positional, named } = this.#given
    const index = this.#parameters.indexOf(name)
    return index < positional.length ? positional[index] : named.get(name)
  }

  /** Returns the argument; the default if the call leaves it out. None is an argument. */
  getOr(name: string, fallback: Value): Value {
    const value = this.get(name)
    return value === undefined ? fallback : value
  }

  /** @throws TemplateError if the call leaves the argument out */
  require(name: string): Value {
    const value = this.get(name)
    if (value !== undefined) return value
    throw new TemplateError(`${this.#owner}() missing required argument '${name}'`)
  }

  /** Returns a text; undefined if the argument is left out or None. @throws TemplateError for other values */
  text(name: string): Text | undefined {
    const value = this.get(name)
    if (value === undefined || value === null) return undefined
    return requireText(value, `${this.#owner}() argument '${name}'`)
  }

  requireText(name: string): Text {
    return requireText(this.require(name), `${this.#owner}() argument '${name}'`)
  }

  /** Returns an integer; undefined if the argument is left out or None. @throws TemplateError for other values */
  integer(name: string): number | undefined {
    const value = this.get(name)
    return value === undefined || value === null ? undefined : toIndex(value)
  }

  isTrue(name: string): boolean {
    return isTrue(this.getOr(name, false))
  }
}

/** Checks that a value is text. @throws TemplateError */
export function requireText(value: Value, owner: string): Text {
  if (value instanceof Text) return value
  throw new TemplateError(`${owner} must be str, not ${typeName(value)}`)
}
