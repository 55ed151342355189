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

  function readAttribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return BigInt(index + 1)
      case 'index0':
        return BigInt(index)
      case 'revindex':
        return BigInt(measure() - index)
      case 'revindex0':
        return BigInt(measure() - index - 1)
      case 'first':
        return index === 0
      case 'last':
        return length === undefined ? peek() === undefined : index === length - 1
      case 'length':
        return BigInt(measure())
      case 'depth':
        return BigInt(depth + 1)
      case 'depth0':
        return BigInt(depth)
      case 'previtem':
        return orUndefined(previous, 'there is no previous item')
      case 'nextitem':
        return orUndefined(length === undefined ? peek() : ahead.at(-1), 'there is no next item')
      case 'cycle':
        return new Callable(name, ({ positional }) => {
          if (positional.length === 0) throw new TemplateError('no items for cycling given')
          return positional[index % positional.length]!
        })
      case 'changed':
        return new Callable(name, ({ positional }) => {
          const value = new List(positional, 'tuple')
          const isChanged = !lastChanged || !isEqual(lastChanged, value, meter)
          lastChanged = value
          return isChanged
        })
      default:
        return undefined
    }
  }

  return {
    value: new Structure('LoopContext', readAttribute, ({ positional }) => {
      if (!recurse) {
        throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.")
      }
      return recurse(orUndefined(positional[0], 'There is no iterable.'))
    }),
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
