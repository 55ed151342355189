import type { FlatSchema } from './flatten-schema.js'

export const jsonTypes = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const
export type JsonType = (typeof jsonTypes)[number]

const everyType: ReadonlySet<JsonType> = new Set(jsonTypes.filter((type) => type !== 'integer'))

/** The types that a schema's values are written with: those that it names, or else those that its keywords are about. */
export function typesOf(schema: FlatSchema): ReadonlySet<JsonType> {
  if (schema.types) return schema.types
  if (schema.values) return new Set(schema.values.map(typeOfValue))
  const implied: JsonType[] = []
  const { properties, required, patternProperties, additionalProperties, propertyNames } = schema
  if (
    properties.size > 0 ||
    required.size > 0 ||
    patternProperties.size > 0 ||
    additionalProperties !== undefined ||
    propertyNames.length > 0 ||
    schema.minProperties > 0 ||
    schema.maxProperties < Infinity
  )
    implied.push('object')
  if (
    schema.prefixItems.length > 0 ||
    schema.items !== undefined ||
    schema.minItems > 0 ||
    schema.maxItems < Infinity ||
    schema.uniqueItems
  )
    implied.push('array')
  if (
    schema.patterns.length > 0 ||
    schema.formats.length > 0 ||
    schema.minLength > 0 ||
    schema.maxLength < Infinity
  )
    implied.push('string')
  if (
    schema.multiples.length > 0 ||
    Math.max(schema.minimum, schema.exclusiveMinimum) > -Infinity ||
    Math.min(schema.maximum, schema.exclusiveMaximum) < Infinity
  )
    implied.push('number')
  return implied.length === 0 ? everyType : new Set(implied)
}

export function typeOfValue(value: unknown): JsonType {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (Number.isInteger(value)) return 'integer'
  return typeof value as JsonType
}

/** Compares two values of JSON. The order of an object's properties does not matter. */
export function isEqualJson(a: unknown, b: unknown): boolean {
  return a === b || sortKeys(a) === sortKeys(b)
}

function sortKeys(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  )
}

/** Writes a value of JSON in one line, with a space after each comma and colon, as most models write it. */
export function writeJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(writeJson).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([name, each]) => `${JSON.stringify(name)}: ${writeJson(each)}`)
    .join(', ')}}`
}
