import { refuse } from './contract/check-options.js'
import type { JsonSchema } from './contract/request.js'

/** Keywords whose values are data, which can contain anything. */
const dataKeywords: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples'])
/** Keywords whose schemas describe the same value as the schema that contains them. */
const sameValueKeywords = ['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'] as const
/** The longest chain of such schemas. */
const maxChain = 1000

/**
 * Checks that no schema refers to itself without a property or an item in between: such a schema describes no value, and its
 * grammar has no end. References that point elsewhere than into this schema (`#…`) are not followed.
 * @param schema a plain copy, within the limits of depth and length
 * @throws RivuletError `invalid-option`
 */
export function checkReferences(schema: JsonSchema, name: string): void {
  const finished = new Set<object>()
  const open = new Set<object>()

  function follow(node: unknown): void {
    if (typeof node !== 'object' || node === null || finished.has(node)) return
    if (open.has(node) || open.size >= maxChain) {
      refuse(
        `A schema of "${name}" refers to itself, or to more than ${maxChain} others, without a property or an item in between.`,
        name,
      )
    }
    open.add(node)
    const fields = node as Readonly<Record<string, unknown>>
    if (typeof fields.$ref === 'string') follow(resolve(schema, fields.$ref))
    for (const keyword of sameValueKeywords) [fields[keyword]].flat().forEach(follow)
    open.delete(node)
    finished.add(node)
  }

  function visit(node: unknown): void {
    if (typeof node !== 'object' || node === null) return
    follow(node)
    for (const [key, value] of Object.entries(node)) if (!dataKeywords.has(key)) visit(value)
  }

  visit(schema)
}

/** Returns what a JSON pointer (RFC 6901) in a URI fragment points at; undefined for anything else. */
function resolve(schema: JsonSchema, reference: string): unknown {
  if (!reference.startsWith('#')) return undefined
  return reference
    .slice(1)
    .split('/')
    .slice(1)
    .reduce<unknown>((node, part) => {
      const key = decode(part).replaceAll('~1', '/').replaceAll('~0', '~')
      const isObject = typeof node === 'object' && node !== null && Object.hasOwn(node, key)
      return isObject ? (node as Readonly<Record<string, unknown>>)[key] : undefined
    }, schema)
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
