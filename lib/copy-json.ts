import { refuse } from './contract/check-options.js'
import { isWellFormed } from './is-well-formed.js'

/** The limits of a value of JSON: its depth in objects and lists, and its length in characters. */
export interface JsonLimits {
  readonly maxDepth: number
  readonly maxLength: number
}

/**
 * Checks that a value is a value of JSON within the limits.
 * @param name the name of the value in errors
 * @param option the name of the option that the errors report
 * @returns a plain copy, which can be posted to the worker
 * @throws RivuletError `invalid-option`
 */
export function copyJson(
  value: unknown,
  { maxDepth, maxLength }: JsonLimits,
  name: string,
  option = name,
): unknown {
  let length = 0
  const count = (added: number) => {
    length += added
    if (length > maxLength) refuse(`"${name}" takes up to ${maxLength} characters.`, option)
  }

  const checkText = (text: string) => {
    if (!isWellFormed(text)) refuse(`"${name}" contains half of a surrogate pair. Remove it.`, option)
  }

  function copy(item: unknown, path: string, depth: number): unknown {
    count(1)
    if (typeof item === 'string') {
      count(item.length)
      checkText(item)
      return item
    }
    if (item === null || typeof item === 'boolean' || Number.isFinite(item)) return item
    if (depth >= maxDepth) refuse(`"${name}" takes up to ${maxDepth} levels of objects and lists.`, option)
    if (Array.isArray(item)) {
      return Array.from(item as readonly unknown[], (each, index) =>
        copy(each, `${path}[${index}]`, depth + 1),
      )
    }
    const kind = Object.prototype.toString.call(item).slice(8, -1)
    if (kind !== 'Object') {
      refuse(`"${name}" must contain only values of JSON; got ${kind} at ${path}.`, option)
    }
    return Object.fromEntries(
      Object.entries(item as object).flatMap(([key, each]: [string, unknown]) => {
        count(key.length)
        checkText(key)
        // As in JSON, a property with the value undefined is a missing one.
        return each === undefined ? [] : [[key, copy(each, `${path}.${key}`, depth + 1)]]
      }),
    )
  }

  return copy(value, name, 0)
}
