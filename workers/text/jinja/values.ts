import { TemplateError, type Meter } from './meter.js'
import { Text } from './text.js'

/**
 * A value of the template language, which has Python's types: a bigint is an `int`, a number is a `float`, null is `None`.
 */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | Text
  | List
  | Dict
  | DictView
  | Iterated
  | Namespace
  | Structure
  | Callable
  | Undefined

/** A `list`, a `tuple` or a `range`. Immutable, as in the sandbox of transformers. */
export class List {
  constructor(
    readonly items: readonly Value[],
    readonly kind: 'list' | 'tuple' | 'range' = 'list',
    /** What Python prints for a range. */
    readonly title = 'range',
  ) {}
}

/** A `dict`. Its keys are any values that Python can hash. */
export class Dict {
  readonly #entries = new Map<string, readonly [key: Value, value: Value]>()

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value)
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hash(key))?.[1]
  }

  /** Returns the value of a key that is the same in every conversation. */
  getNamed(name: string): Value | undefined {
    return this.#entries.get(`s${name}`)?.[1]
  }

  /** Only for the code that creates the object. An existing key stays the same object, as in Python. */
  set(key: Value, value: Value): void {
    const name = hash(key)
    this.#entries.set(name, [this.#entries.get(name)?.[0] ?? key, value])
  }

  entries(): Iterable<readonly [key: Value, value: Value]> {
    return this.#entries.values()
  }
}

/** What `keys()`, `values()` and `items()` of a dict return. */
export class DictView {
  constructor(
    readonly items: readonly Value[],
    readonly kind: 'keys' | 'values' | 'items',
  ) {}
}

/** A generator: it can be iterated once, is true, and has no length. */
export class Iterated {
  constructor(
    readonly iterator: Iterator<Value, unknown, undefined>,
    readonly name = 'generator',
  ) {}
}

/** The only value that can change: what `namespace()` returns. */
export class Namespace {
  readonly attributes = new Map<string, Value>()
}

/** An object with fixed attributes, such as `loop`. */
export class Structure {
  constructor(
    readonly name: string,
    readonly attribute: (name: string) => Value | undefined,
    readonly call?: CallFunction,
  ) {}
}

export interface Arguments {
  readonly positional: readonly Value[]
  readonly named: ReadonlyMap<string, Value>
}

export type CallFunction = (given: Arguments) => Value

/** A function, a method or a macro. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: CallFunction,
  ) {}
}

/** A missing value. It can be printed, iterated and tested; every other use fails with `message`. */
export class Undefined {
  constructor(readonly message: string) {}

  fail(): never {
    throw new TemplateError(this.message)
  }
}

/** Returns the name of a value's Python type. */
export function typeName(value: Value): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'bigint') return 'int'
  if (typeof value === 'number') return 'float'
  if (value instanceof Text) return 'str'
  if (value instanceof List) return value.kind
  if (value instanceof Dict) return 'dict'
  if (value instanceof DictView) return `dict_${value.kind}`
  if (value instanceof Iterated || value instanceof Structure) return value.name
  if (value instanceof Namespace) return 'Namespace'
  return value instanceof Callable ? 'function' : 'Undefined'
}

/** Returns the truth of a value. */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false
  if (typeof value !== 'object') return Boolean(value)
  if (value instanceof Text) return value.value !== ''
  if (value instanceof List || value instanceof DictView) return value.items.length > 0
  return value instanceof Dict ? value.size > 0 : true
}

const maxKeyLength = 2 ** 20

/** Returns a name that is the same for two values if and only if they are the same key of a dict. */
export function hash(key: Value): string {
  if (key instanceof Text) return `s${key.value}`
  if (typeof key === 'bigint') return `n${key}`
  if (typeof key === 'boolean') return key ? 'n1' : 'n0'
  if (typeof key === 'number') return Number.isInteger(key) ? `n${BigInt(key)}` : `n${key}`
  if (key === null) return 'None'
  if (key instanceof Undefined) return 'Undefined'
  if (key instanceof List && key.kind === 'tuple') {
    const names = key.items.map(hash)
    const name = `t${names.map((part) => `${part.length}:${part}`).join('')}`
    // A tuple can contain another one twice, and that one a third one twice.
    if (name.length > maxKeyLength) throw new TemplateError('A key of a dict is too long.')
    return name
  }
  throw new TemplateError(`unhashable type: '${typeName(key)}'`)
}

/** Iterates over a value, as Python's `iter` does. @throws TemplateError if the value cannot be iterated */
export function iterate(value: Value): Iterator<Value, unknown, undefined> {
  if (value instanceof List || value instanceof DictView) return value.items.values()
  if (value instanceof Dict) return listKeys(value).values()
  if (value instanceof Text) return value.characters()
  if (value instanceof Iterated) return value.iterator
  if (value instanceof Undefined) return [].values()
  throw new TemplateError(`'${typeName(value)}' object is not iterable`)
}

/** Returns the values that an iteration gives. */
export function toArray(value: Value, meter: Meter): readonly Value[] {
  if (value instanceof List || value instanceof DictView) return value.items
  const iterator = iterate(value)
  const items: Value[] = []
  for (let next = iterator.next(); !next.done; next = iterator.next()) {
    meter.step()
    items.push(next.value)
  }
  meter.growList(items.length)
  return items
}

export function listKeys(dict: Dict): Value[] {
  return Array.from(dict.entries(), ([key]) => key)
}

/** Returns the length of a value, or undefined if the value has none. */
export function measure(value: Value): number | undefined {
  if (value instanceof Text) return value.length
  if (value instanceof List || value instanceof DictView) return value.items.length
  if (value instanceof Dict) return value.size
  return value instanceof Undefined ? 0 : undefined
}

/** Returns a number for a value of a numeric type, which includes the truth values; undefined for others. */
export function toNumber(value: Value): bigint | number | undefined {
  if (typeof value === 'boolean') return value ? 1n : 0n
  return typeof value === 'bigint' || typeof value === 'number' ? value : undefined
}

/** Returns true if two values are equal in Python. */
export function isEqual(left: Value, right: Value, meter: Meter): boolean {
  meter.step()
  if (left instanceof Text) {
    meter.scan(left.value.length)
    return right instanceof Text && left.value === right.value
  }
  const [a, b] = [toNumber(left), toNumber(right)]
  // Python compares an int and a float by their exact values, as JavaScript does with `==`.
  // oxlint-disable-next-line eqeqeq
  if (a !== undefined || b !== undefined) return a !== undefined && b !== undefined && a == b
  if (left instanceof List) {
    return (
      right instanceof List &&
      left.kind === right.kind &&
      left.items.length === right.items.length &&
      left.items.every((item, index) => isEqual(item, right.items[index]!, meter))
    )
  }
  if (left instanceof Dict) {
    if (!(right instanceof Dict) || left.size !== right.size) return false
    for (const [key, value] of left.entries()) {
      const other = right.get(key)
      if (other === undefined || !isEqual(value, other, meter)) return false
    }
    return true
  }
  if (left instanceof Undefined) return right instanceof Undefined
  return left === right
}

/**
 * Compares two values for an order. @returns a negative number, 0 or a positive number; NaN if one of them is NaN
 * @throws TemplateError if Python has no order for these types
 */
export function compare(left: Value, right: Value, operator: string, meter: Meter): number {
  meter.step()
  if (left instanceof Undefined) left.fail()
  if (right instanceof Undefined) right.fail()
  if (left instanceof Text && right instanceof Text) {
    meter.scan(Math.min(left.value.length, right.value.length))
    return compareStrings(left.value, right.value)
  }
  const [a, b] = [toNumber(left), toNumber(right)]
  if (a !== undefined && b !== undefined) return a < b ? -1 : a > b ? 1 : a >= b ? 0 : NaN
  if (left instanceof List && right instanceof List && left.kind === right.kind && left.kind !== 'range') {
    for (const [index, item] of left.items.entries()) {
      const other = right.items[index]
      if (other === undefined) return 1
      if (!isEqual(item, other, meter)) return compare(item, other, operator, meter)
    }
    return left.items.length - right.items.length
  }
  throw new TemplateError(
    `'${operator}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`,
  )
}

/** Compares by code points, as Python does. JavaScript compares code units. */
export function compareStrings(left: string, right: string): number {
  if (left === right) return 0
  const length = Math.min(left.length, right.length)
  for (let place = 0; place < length; place += 1) {
    if (left.charCodeAt(place) !== right.charCodeAt(place)) {
      return (left.codePointAt(place) ?? 0) - (right.codePointAt(place) ?? 0)
    }
  }
  return left.length - right.length
}
