import type { Value } from './values.js'

/** The variables of a block, with the scope around it. */
export class Scope {
  /** Created with the first variable: most scopes have none. */
  #variables: Map<string, Value> | undefined
  readonly #outer: Scope | undefined

  constructor(outer: Scope | undefined, variables?: Iterable<readonly [string, Value]>) {
    this.#outer = outer
    this.#variables = variables && new Map(variables)
  }

  set(name: string, value: Value): void {
    this.#variables ??= new Map()
    this.#variables.set(name, value)
  }

  /** Returns a variable. None is a value, too: `??` would not tell it from a missing variable. */
  find(name: string, orElse: () => Value): Value {
    const value = this.#variables?.get(name)
    if (value !== undefined) return value
    return this.#outer ? this.#outer.find(name, orElse) : orElse()
  }
}
