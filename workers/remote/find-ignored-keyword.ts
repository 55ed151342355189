import type { JsonSchema } from '../../lib/contract/request.js'
import { isObject } from './server-failure.js'

/** Keywords that llama.cpp's converter (json-schema-to-grammar.cpp) ignores, or fails on. XGrammar ignores most of them, too. */
const ignoredKeywords = [
  'multipleOf',
  'uniqueItems',
  'contains',
  'minContains',
  'maxContains',
  'minProperties',
  'maxProperties',
  'propertyNames',
  'patternProperties',
  'dependentRequired',
  'dependentSchemas',
  'dependencies',
  'unevaluatedItems',
  'unevaluatedProperties',
  'prefixItems',
  'additionalItems',
  'not',
  'if',
  // It is held as `anyOf`.
  'oneOf',
  '$dynamicRef',
  '$recursiveRef',
]
const limits = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum']
/** Keywords that say nothing about a value. */
const annotations = new Set([
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  'id',
  '$comment',
  '$defs',
  'definitions',
])
const heldFormats = new Set(['date', 'time', 'date-time', 'uuid'])
/** Formats that are more than an annotation, as describe-string.ts holds them. */
const knownFormats = new Set([
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uri',
  'uri-reference',
  'json-pointer',
  'byte',
])

/**
 * Finds what a server with llama.cpp's converter would ignore in a JSON schema, so that an answer might not be valid.
 * @returns what is ignored and where: `"multipleOf" at #/properties/a`; undefined if the schema is held
 */
export function findIgnoredKeyword(schema: JsonSchema): string | undefined {
  return find(schema, '#')
}

function find(schema: unknown, path: string): string | undefined {
  if (!isObject(schema)) return undefined
  const own = findOwn(schema)
  if (own !== undefined) return `"${own}" at ${path}`
  for (const [name, value] of Object.entries(schema)) {
    const parts = listParts(name, value)
    for (const [key, part] of parts) {
      const found = find(part, `${path}/${name}${key === '' ? '' : `/${key}`}`)
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** Returns the schemas in a keyword's value, with their keys. */
function listParts(keyword: string, value: unknown): readonly (readonly [string, unknown])[] {
  if (['properties', '$defs', 'definitions'].includes(keyword))
    return isObject(value) ? Object.entries(value) : []
  if (['items', 'additionalProperties'].includes(keyword)) return [['', value]]
  if (!['anyOf', 'allOf'].includes(keyword) || !Array.isArray(value)) return []
  return value.map((part: unknown, index) => [String(index), part] as const)
}

function findOwn(schema: Readonly<Record<string, unknown>>): string | undefined {
  const { type, format, pattern, properties, required, enum: values } = schema
  const has = (name: string) => schema[name] !== undefined && schema[name] !== false
  const ignored = ignoredKeywords.find(has)
  if (ignored !== undefined) return ignored
  const asserted = Object.keys(schema).filter((name) => !annotations.has(name))
  // Of these, only the first is read, and nothing beside it.
  const alone = ['$ref', 'anyOf', 'allOf'].find(has)
  if (alone !== undefined) {
    const beside = asserted.find((name) => name !== alone)
    if (beside !== undefined) return beside
  }
  // It is held only for properties.
  if (Array.isArray(schema.allOf) && !schema.allOf.every(hasOnlyProperties)) return 'allOf'
  if (type !== 'integer' && limits.some(has)) return limits.find(has)
  if (typeof format === 'string' && knownFormats.has(format) && !heldFormats.has(format)) return 'format'
  if (typeof pattern === 'string' && !(pattern.startsWith('^') && pattern.endsWith('$'))) return 'pattern'
  if (pattern !== undefined || format !== undefined) {
    const length = ['minLength', 'maxLength'].find(has)
    if (length !== undefined) return length
  }
  if (Array.isArray(required)) {
    const named = isObject(properties) ? properties : {}
    if (required.some((name) => !Object.hasOwn(named, String(name)))) return 'required'
  }
  // A value of `enum` can be of another type.
  if (Array.isArray(values) && type !== undefined && values.some((value) => !hasType(value, type)))
    return 'type'
  return undefined
}

function hasOnlyProperties(schema: unknown): boolean {
  const names = Object.keys(isObject(schema) ? schema : {}).filter((name) => !annotations.has(name))
  return names.length > 0 && names.every((name) => ['type', 'properties', 'required'].includes(name))
}

function hasType(value: unknown, type: unknown): boolean {
  const types: readonly unknown[] = Array.isArray(type) ? type : [type]
  const own = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  return types.some((each) => each === own || (each === 'integer' && Number.isInteger(value)))
}
