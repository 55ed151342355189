import { TemplateError, type Meter } from './meter.js'
import { Callable, List, Structure, Undefined, isEqual, type Value } from './values.js'

/** The state of a `for` loop. */
export interface Loop {
  /** What the template sees as `loop`. */
  readonly value: Structure
  /** Moves to the next item. @returns the item, or undefined at the end */
  next(): Value | undefined
}

/**
 * Creates the state of a loop. An item is read when it is needed, as in jinja2, so that a condition can use what the body
 * changes; `loop.length` and `loop.last` read ahead.
 * @param recurse runs the loop's body for an inner iterable, if the loop is recursive
 */
export function createLoop(
  iterator: Iterator<Value, unknown, undefined>,
  isSelected: (item: Value) => boolean,
  meter: Meter,
  depth: number,
  recurse: ((iterable: Value) => Value) | undefined,
): Loop {
  const ahead: Value[] = []
  let index = -1
  let previous: Value | undefined
  let current: Value | undefined
  let length: number | undefined
  let lastChanged: List | undefined

  function read(): Value | undefined {
    for (let next = iterator.next(); !next.done; next = iterator.next()) {
      meter.step()
      if (isSelected(next.value)) return next.value
    }
    return undefined
  }

  function peek(): Value | undefined {
    if (ahead.length === 0) {
      const item = read()
      if (item !== undefined) ahead.push(item)
    }
    return ahead[0]
  }

  function measure(): number {
    if (length === undefined) {
      for (let item = read(); item !== undefined; item = read()) ahead.push(item)
      length = index + 1 + ahead.length
      // Taken from the end from now on, because removing the first of many items is slow.
      ahead.reverse()
    }
    return length
  }

  const attributes: Readonly<Record<string, () => Value | undefined>> = {
    index: () => BigInt(index + 1),
    index0: () => BigInt(index),
    revindex: () => BigInt(measure() - index),
    revindex0: () => BigInt(measure() - index - 1),
    first: () => index === 0,
    last: () => (length === undefined ? peek() === undefined : index === length - 1),
    length: () => BigInt(measure()),
    depth: () => BigInt(depth + 1),
    depth0: () => BigInt(depth),
    previtem: () => orUndefined(previous, 'there is no previous item'),
    nextitem: () => orUndefined(length === undefined ? peek() : ahead.at(-1), 'there is no next item'),
    cycle: () =>
      new Callable('cycle', ({ positional }) => {
        if (positional.length === 0) throw new TemplateError('no items for cycling given')
        return positional[index % positional.length]!
      }),
    changed: () =>
      new Callable('changed', ({ positional }) => {
        const value = new List(positional, 'tuple')
        const isChanged = !lastChanged || !isEqual(lastChanged, value, meter)
        lastChanged = value
        return isChanged
      }),
  }

  return {
    value: new Structure(
      'LoopContext',
      (name) => (Object.hasOwn(attributes, name) ? attributes[name]!() : undefined),
      ({ positional }) => {
        if (!recurse) {
          throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.")
        }
        return recurse(orUndefined(positional[0], 'There is no iterable.'))
      },
    ),
    next() {
      const item =
        ahead.length > 0
          ? length === undefined
            ? ahead.shift()
            : ahead.pop()
          : length === undefined
            ? read()
            : undefined
      if (item === undefined) return undefined
      index += 1
      previous = current
      current = item
      return item
    },
  }
}

function orUndefined(value: Value | undefined, message: string): Value {
  return value === undefined ? new Undefined(message) : value
}
