import { refuse } from './contract/check-options.js'

/** Variables that the request itself sets. */
const reservedNames: ReadonlySet<string> = new Set(['messages', 'add_generation_prompt'])

/**
 * Checks the variables of a chat template.
 * @returns a plain copy, which can be posted to the worker
 * @throws RivuletError `invalid-option`
 */
export function checkTemplateVariables(
  value: unknown,
  { maxDepth, maxLength }: { readonly maxDepth: number; readonly maxLength: number },
  name: string,
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(`"${name}" must be an object from names to values.`, name)
  }
  const reserved = Object.keys(value).find((key) => reservedNames.has(key))
  if (reserved !== undefined) {
    refuse(`"${name}" must not contain "${reserved}": the request sets this variable itself.`, name)
  }
  let length = 0
  const count = (added: number) => {
    length += added
    if (length > maxLength) refuse(`"${name}" takes up to ${maxLength} characters.`, name)
  }

  function copy(item: unknown, path: string, depth: number): unknown {
    count(1)
    if (typeof item === 'string') {
      count(item.length)
      return item
    }
    if (item === null || typeof item === 'boolean' || Number.isFinite(item)) return item
    if (depth >= maxDepth) refuse(`"${name}" takes up to ${maxDepth} levels of objects and lists.`, name)
    if (Array.isArray(item)) {
      return Array.from(item as readonly unknown[], (each, index) =>
        copy(each, `${path}[${index}]`, depth + 1),
      )
    }
    const kind = Object.prototype.toString.call(item).slice(8, -1)
    if (kind !== 'Object') {
      refuse(`"${name}" must contain only values of JSON; got ${kind} at ${path}.`, name)
    }
    return Object.fromEntries(
      Object.entries(item as object).flatMap(([key, each]: [string, unknown]) => {
        count(key.length)
        // As in JSON, a property with the value undefined is a missing one.
        return each === undefined ? [] : [[key, copy(each, `${path}.${key}`, depth + 1)]]
      }),
    )
  }

  return copy(value, name, 0) as Readonly<Record<string, unknown>>
}
