import type { Meter } from './meter.js'
import type { Arguments, Value } from './values.js'

/** What filters and tests can use of the interpreter. */
export interface Runtime {
  readonly meter: Meter
  readonly findAttribute: (object: Value, name: string) => Value | undefined
  /**
   * Creates a function that reads an attribute, such as `name` or `address.city.0`.
   * @param missing the value for a missing attribute
   */
  readonly createGetter: (attribute: Value, missing?: Value) => (item: Value) => Value
  readonly callFilter: (name: string, value: Value, given: Arguments) => Value
  readonly callTest: (name: string, value: Value, given: Arguments) => boolean
}

export interface FilterRow {
  readonly call: (name: string, value: Value, given: Arguments, runtime: Runtime) => Value
}
