import type { JsonSchema } from '../../../lib/contract/request.js'
import { parseJson } from './json-value.js'

/** The types that a value may have; all if the schema does not say. */
export type ValueTypes = ReadonlySet<string>

const maxDepth = 8

/** Returns the types that a schema's property may have. An empty set means any. */
export function readPropertyTypes(schema: JsonSchema | undefined, property: string): ValueTypes {
  if (!schema) return new Set()
  const properties = asSchema(schema.properties)
  return new Set(listTypes(asSchema(properties?.[property]), schema, maxDepth))
}

/** Returns the name of the property at a position. */
export function readPropertyName(schema: JsonSchema | undefined, position: number): string | undefined {
  return Object.keys(asSchema(schema?.properties) ?? {})[position]
}

function listTypes(schema: JsonSchema | undefined, root: JsonSchema, depth: number): readonly string[] {
  if (!schema || depth === 0) return []
  const { type, $ref, enum: values, const: constant } = schema
  if (typeof type === 'string') return [type]
  if (Array.isArray(type)) return type.filter((each): each is string => typeof each === 'string')
  if (typeof $ref === 'string') return listTypes(resolve($ref, root), root, depth - 1)
  if (constant !== undefined) return [typeOf(constant)]
  if (Array.isArray(values)) return values.map(typeOf)
  const parts = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((list): readonly unknown[] =>
    Array.isArray(list) ? list : [],
  )
  return parts.flatMap((part) => listTypes(asSchema(part), root, depth - 1))
}

function resolve(reference: string, root: JsonSchema): JsonSchema | undefined {
  if (!reference.startsWith('#')) return undefined
  const names = reference.split('/').slice(1)
  return names.reduce<JsonSchema | undefined>(
    (schema, name) => asSchema(schema?.[name.replaceAll('~1', '/').replaceAll('~0', '~')]),
    root,
  )
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value === 'object' || typeof value === 'number' || typeof value === 'boolean'
    ? typeof value
    : 'string'
}

function asSchema(value: unknown): JsonSchema | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonSchema)
    : undefined
}

/** True if a value of these types is a text in any case, so that it can be passed on as it arrives. */
export function isOnlyText(types: ValueTypes): boolean {
  return types.size === 1 && types.has('string')
}

/** Returns the JSON of a value that a model wrote without quotes. */
export function toJson(text: string, types: ValueTypes): string {
  const trimmed = text.trim()
  if (trimmed === 'null' && types.has('null')) return 'null'
  if (types.has('string')) return JSON.stringify(text)
  const word = { True: 'true', False: 'false', None: 'null' }[trimmed] ?? trimmed
  return parseJson(word) === undefined ? JSON.stringify(text) : word
}
