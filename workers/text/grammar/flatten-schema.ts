import type { JsonSchema } from '../../../lib/contract/request.js'
import { isEqualJson, jsonTypes, typesOf, type JsonType } from './json-values.js'
import { UnsupportedForm } from './unsupported-form.js'

export type Schema = boolean | JsonSchema

/** A schema without references and combinations. All of its parts must hold. */
export interface FlatSchema {
  /** Undefined if the schema names no type. */
  readonly types: ReadonlySet<JsonType> | undefined
  /** The values of `enum` and `const`; undefined if there are none. */
  readonly values: readonly unknown[] | undefined
  readonly properties: ReadonlyMap<string, Schema>
  readonly required: ReadonlySet<string>
  readonly patternProperties: ReadonlyMap<string, Schema>
  /** Undefined if the schema does not say what other properties can be. */
  readonly additionalProperties: Schema | undefined
  readonly propertyNames: readonly Schema[]
  readonly minProperties: number
  readonly maxProperties: number
  /** The schemas of the first items. */
  readonly prefixItems: readonly Schema[]
  /** The schema of the other items. */
  readonly items: Schema | undefined
  readonly minItems: number
  readonly maxItems: number
  readonly uniqueItems: boolean
  readonly patterns: readonly string[]
  readonly formats: readonly string[]
  readonly minLength: number
  readonly maxLength: number
  readonly minimum: number
  readonly maximum: number
  readonly exclusiveMinimum: number
  readonly exclusiveMaximum: number
  readonly multiples: readonly number[]
}

const anything: FlatSchema = {
  types: undefined,
  values: undefined,
  properties: new Map(),
  required: new Set(),
  patternProperties: new Map(),
  additionalProperties: undefined,
  propertyNames: [],
  minProperties: 0,
  maxProperties: Infinity,
  prefixItems: [],
  items: undefined,
  minItems: 0,
  maxItems: Infinity,
  uniqueItems: false,
  patterns: [],
  formats: [],
  minLength: 0,
  maxLength: Infinity,
  minimum: -Infinity,
  maximum: Infinity,
  exclusiveMinimum: -Infinity,
  exclusiveMaximum: Infinity,
  multiples: [],
}

/** Keywords that demand something that no grammar of this library can hold. Unknown keywords are annotations. */
const unsupportedKeywords = [
  '$dynamicRef',
  '$recursiveRef',
  'if',
  'contains',
  'minContains',
  'maxContains',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
  'unevaluatedItems',
]

/** The largest number of alternatives of one schema, and the largest number of references in a row. */
const maxAlternatives = 256
const maxDepth = 64

/**
 * Resolves references, and replaces combinations by alternatives without them. A value that is valid by one of the
 * alternatives, and that has no properties that this alternative does not name, is valid by the schema.
 * @param root the whole schema, for references
 * @param path the place of the schema, for errors
 * @returns no alternative if no value is valid
 * @throws UnsupportedForm
 */
export function flattenSchema(root: JsonSchema, schema: Schema, path: string): readonly FlatSchema[] {
  function flatten(part: Schema, depth: number): readonly FlatSchema[] {
    if (part === true) return [anything]
    if (part === false) return []
    if (!isSchema(part)) throw new UnsupportedForm(`The JSON schema has no schema at ${path}.`)
    if (depth > maxDepth) throw new UnsupportedForm(`The JSON schema has a loop of references at ${path}.`)
    const unsupported = unsupportedKeywords.find((keyword) => part[keyword] !== undefined)
    if (unsupported !== undefined) throw unsupportedKeyword(unsupported, path)
    let found: readonly FlatSchema[] = [readKeywords(part, path)]
    const combine = (others: readonly FlatSchema[]) => {
      found = found.flatMap((a) => others.flatMap((b) => intersect(a, b, path) ?? []))
      if (found.length > maxAlternatives)
        throw new UnsupportedForm(`The JSON schema has too many alternatives at ${path}.`)
    }
    if (part.$ref !== undefined) combine(flatten(resolveReference(root, part.$ref, path), depth + 1))
    for (const each of readList(part, 'allOf', path)) combine(flatten(each, depth + 1))
    if (part.anyOf !== undefined)
      combine(readList(part, 'anyOf', path).flatMap((each) => flatten(each, depth + 1)))
    if (part.oneOf !== undefined) {
      const branches = readList(part, 'oneOf', path).map((each) => flatten(each, depth + 1))
      found = separate(found, branches, path)
    }
    return part.not === undefined ? found : found.flatMap((each) => exclude(each, part.not, path))
  }

  return flatten(schema, 0)
}

export function unsupportedKeyword(keyword: string, path: string, why = ''): UnsupportedForm {
  return new UnsupportedForm(`The JSON schema uses "${keyword}" at ${path}${why}, which cannot be held.`)
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function resolveReference(root: JsonSchema, reference: unknown, path: string): Schema {
  const text = String(reference)
  if (text !== '#' && !text.startsWith('#/'))
    throw new UnsupportedForm(
      `The JSON schema refers to ${JSON.stringify(text)} at ${path}. Only references within the schema ("#/…") can be held.`,
    )
  let target: unknown = root
  for (const step of text.split('/').slice(1)) {
    const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    const isOwn = typeof target === 'object' && target !== null && Object.hasOwn(target, name)
    target = isOwn ? (target as Readonly<Record<string, unknown>>)[name] : undefined
  }
  if (typeof target === 'boolean' || isSchema(target)) return target
  throw new UnsupportedForm(
    `The JSON schema refers to ${JSON.stringify(text)} at ${path}, which does not exist.`,
  )
}

function readList(schema: JsonSchema, keyword: string, path: string): readonly Schema[] {
  const list = schema[keyword] ?? []
  if (Array.isArray(list)) return list as readonly Schema[]
  throw new UnsupportedForm(`"${keyword}" of the JSON schema must be a list at ${path}.`)
}

function readMap(value: unknown): ReadonlyMap<string, Schema> {
  return new Map(isSchema(value) ? (Object.entries(value) as [string, Schema][]) : [])
}

/** Reads the keywords of one schema object, without references and combinations. */
function readKeywords(schema: JsonSchema, path: string): FlatSchema {
  const number = (keyword: string, otherwise: number) => {
    const value = schema[keyword] ?? otherwise
    if (typeof value === 'number') return value
    throw new UnsupportedForm(`"${keyword}" of the JSON schema must be a number at ${path}.`)
  }
  /** In draft 4, `exclusiveMinimum: true` makes `minimum` exclusive. */
  const limit = (keyword: string, exclusive: string, otherwise: number) => {
    const isExclusive = schema[exclusive] === true
    const inclusiveLimit = number(keyword, otherwise)
    if (typeof schema[exclusive] === 'boolean')
      return isExclusive ? [otherwise, inclusiveLimit] : [inclusiveLimit, otherwise]
    return [inclusiveLimit, number(exclusive, otherwise)]
  }
  const [minimum, exclusiveMinimum] = limit('minimum', 'exclusiveMinimum', -Infinity)
  const [maximum, exclusiveMaximum] = limit('maximum', 'exclusiveMaximum', Infinity)
  const { items, additionalItems, unevaluatedProperties } = schema
  if (unevaluatedProperties !== undefined && unevaluatedProperties !== false)
    throw unsupportedKeyword('unevaluatedProperties', path)
  const isTuple = Array.isArray(items)
  const values = [
    ...(Array.isArray(schema.enum) ? [schema.enum as readonly unknown[]] : []),
    ...('const' in schema ? [[schema.const]] : []),
  ]
  return {
    types: readTypes(schema.type, path),
    values: values.reduce<readonly unknown[] | undefined>(
      (a, b) => (a ? a.filter((each) => b.some((other) => isEqualJson(each, other))) : b),
      undefined,
    ),
    properties: readMap(schema.properties),
    required: new Set(readRequired(schema.required)),
    patternProperties: readMap(schema.patternProperties),
    additionalProperties: schema.additionalProperties as Schema | undefined,
    propertyNames: schema.propertyNames === undefined ? [] : [schema.propertyNames as Schema],
    minProperties: number('minProperties', 0),
    maxProperties: number('maxProperties', Infinity),
    prefixItems: (isTuple ? items : (schema.prefixItems ?? [])) as readonly Schema[],
    items: (isTuple ? additionalItems : items) as Schema | undefined,
    minItems: number('minItems', 0),
    maxItems: number('maxItems', Infinity),
    uniqueItems: schema.uniqueItems === true,
    patterns: typeof schema.pattern === 'string' ? [schema.pattern] : [],
    formats: typeof schema.format === 'string' ? [schema.format] : [],
    minLength: number('minLength', 0),
    maxLength: number('maxLength', Infinity),
    minimum: minimum!,
    maximum: maximum!,
    exclusiveMinimum: exclusiveMinimum!,
    exclusiveMaximum: exclusiveMaximum!,
    multiples: schema.multipleOf === undefined ? [] : [number('multipleOf', 1)],
  }
}

/** Some schemas of draft 3 have `required: true` in a property. It demands nothing in later drafts. */
function readRequired(required: unknown): readonly string[] {
  return Array.isArray(required) ? (required as readonly string[]) : []
}

function readTypes(type: unknown, path: string): ReadonlySet<JsonType> | undefined {
  if (type === undefined) return undefined
  const names = (Array.isArray(type) ? type : [type]) as readonly JsonType[]
  const unknown = names.find((name) => !jsonTypes.includes(name))
  if (unknown === undefined) return new Set(names)
  throw new UnsupportedForm(`The JSON schema has the unknown type ${JSON.stringify(unknown)} at ${path}.`)
}

/** Combines two schemas that must both hold. @returns undefined if no value can be valid by both */
function intersect(a: FlatSchema, b: FlatSchema, path: string): FlatSchema | undefined {
  const types = a.types && b.types ? intersectTypes(a.types, b.types) : (a.types ?? b.types)
  const values =
    a.values && b.values
      ? a.values.filter((each) => b.values!.some((other) => isEqualJson(each, other)))
      : (a.values ?? b.values)
  if (types?.size === 0 || values?.length === 0) return undefined
  const prefixLength = Math.max(a.prefixItems.length, b.prefixItems.length)
  const item = ({ prefixItems, items }: FlatSchema, index: number) => prefixItems[index] ?? items
  return {
    types,
    values,
    properties: new Map(
      [...new Set([...a.properties.keys(), ...b.properties.keys()])].map((name) => [
        name,
        both(describeProperty(a, name), describeProperty(b, name)) ?? true,
      ]),
    ),
    required: new Set([...a.required, ...b.required]),
    patternProperties: intersectPatterns(a, b, path),
    additionalProperties: both(a.additionalProperties, b.additionalProperties),
    propertyNames: [...a.propertyNames, ...b.propertyNames],
    minProperties: Math.max(a.minProperties, b.minProperties),
    maxProperties: Math.min(a.maxProperties, b.maxProperties),
    prefixItems: Array.from(
      { length: prefixLength },
      (_, index) => both(item(a, index), item(b, index)) ?? true,
    ),
    items: both(a.items, b.items),
    minItems: Math.max(a.minItems, b.minItems),
    maxItems: Math.min(a.maxItems, b.maxItems),
    uniqueItems: a.uniqueItems || b.uniqueItems,
    patterns: [...new Set([...a.patterns, ...b.patterns])],
    formats: [...new Set([...a.formats, ...b.formats])],
    minLength: Math.max(a.minLength, b.minLength),
    maxLength: Math.min(a.maxLength, b.maxLength),
    minimum: Math.max(a.minimum, b.minimum),
    maximum: Math.min(a.maximum, b.maximum),
    exclusiveMinimum: Math.max(a.exclusiveMinimum, b.exclusiveMinimum),
    exclusiveMaximum: Math.min(a.exclusiveMaximum, b.exclusiveMaximum),
    multiples: [...new Set([...a.multiples, ...b.multiples])],
  }
}

function intersectTypes(a: ReadonlySet<JsonType>, b: ReadonlySet<JsonType>): ReadonlySet<JsonType> {
  const has = (types: ReadonlySet<JsonType>, type: JsonType) =>
    types.has(type) || (type === 'integer' && types.has('number'))
  return new Set(jsonTypes.filter((type) => has(a, type) && has(b, type) && (a.has(type) || b.has(type))))
}

function both(a: Schema | undefined, b: Schema | undefined): Schema | undefined {
  if (a === undefined || a === true) return b ?? a
  if (b === undefined || b === true || isEqualJson(a, b)) return a
  return a === false || b === false ? false : { allOf: [a, b] }
}

/** Returns what a schema demands of a property; undefined if it does not mention it. */
export function describeProperty(schema: FlatSchema, name: string): Schema | undefined {
  const matching = [...schema.patternProperties].filter(([pattern]) => matchesPattern(pattern, name))
  const named = schema.properties.get(name)
  if (named === undefined && matching.length === 0) return schema.additionalProperties
  return matching.reduce<Schema | undefined>((all, [, each]) => both(all, each), named)
}

export function matchesPattern(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    // Old schemas contain patterns that are valid only without the flag.
    return new RegExp(pattern).test(text)
  }
}

function intersectPatterns(a: FlatSchema, b: FlatSchema, path: string): ReadonlyMap<string, Schema> {
  const isOpen = ({ additionalProperties }: FlatSchema) =>
    additionalProperties === undefined || additionalProperties === true
  if ((a.patternProperties.size > 0 && !isOpen(b)) || (b.patternProperties.size > 0 && !isOpen(a)))
    throw unsupportedKeyword(
      'patternProperties',
      path,
      ' together with "additionalProperties" of another part',
    )
  const patterns = new Map(a.patternProperties)
  for (const [pattern, each] of b.patternProperties)
    patterns.set(pattern, both(patterns.get(pattern), each) ?? each)
  return patterns
}

/** Combines `found` with the branches of `oneOf`, so that no value of a branch is valid by another one. */
function separate(
  found: readonly FlatSchema[],
  branches: readonly (readonly FlatSchema[])[],
  path: string,
): readonly FlatSchema[] {
  return found.flatMap((base) => {
    const merged = branches.map((branch) => branch.flatMap((each) => intersect(base, each, path) ?? []))
    return merged.flatMap((own, index) => {
      const others = merged.filter((_, other) => other !== index).flat()
      return own.map((each) =>
        others.reduce((narrowed, other) => {
          const distinct = distinguish(narrowed, other)
          if (distinct) return distinct
          throw unsupportedKeyword('oneOf', path, ' with alternatives that can be valid at the same time')
        }, each),
      )
    })
  })
}

/**
 * Restricts `schema` so that no value that is written for it is valid by `other`.
 * @returns undefined if no way was found
 */
function distinguish(schema: FlatSchema, other: FlatSchema): FlatSchema | undefined {
  const values = listValues(schema)
  const otherValues = listValues(other)
  if (values && otherValues)
    return values.some((a) => otherValues.some((b) => isEqualJson(a, b))) ? undefined : schema
  const types = typesOf(schema)
  const otherTypes = typesOf(other)
  if (
    ![...types].some(
      (type) =>
        otherTypes.has(type) ||
        (type === 'integer' && otherTypes.has('number')) ||
        (type === 'number' && otherTypes.has('integer')),
    )
  )
    return schema
  // What remains is decided by the properties of objects.
  if (types.size > 1 || !types.has('object')) return undefined
  for (const [name, demanded] of other.properties) {
    const mine = schema.properties.get(name)
    if (!schema.required.has(name) || mine === undefined) continue
    const [a, b] = [readShallow(mine), readShallow(demanded)]
    if (a && b && distinguish(a, b) === a) return schema
  }
  for (const name of schema.required) {
    if (describeProperty(other, name) === false) return schema
  }
  for (const name of other.required) {
    if (schema.required.has(name)) continue
    // A value without the property is not valid by the other one.
    return { ...schema, properties: new Map([...schema.properties, [name, false]]) }
  }
  return undefined
}

/** Reads a property's schema as far as it contains no references and combinations. */
function readShallow(schema: Schema): FlatSchema | undefined {
  if (!isSchema(schema)) return undefined
  const isCombined = ['$ref', 'allOf', 'anyOf', 'oneOf', 'not'].some((keyword) => keyword in schema)
  return isCombined ? undefined : readKeywords(schema, '')
}

function listValues({ values, types }: FlatSchema): readonly unknown[] | undefined {
  if (values) return values
  if (types?.size !== 1) return undefined
  if (types.has('null')) return [null]
  return types.has('boolean') ? [true, false] : undefined
}

/** Removes the values that are valid by `not`. */
function exclude(schema: FlatSchema, not: unknown, path: string): readonly FlatSchema[] {
  if (not === true || (isSchema(not) && Object.keys(not).length === 0)) return []
  if (not === false) return [schema]
  if (isSchema(not) && Object.keys(not).length === 1) {
    if (not.type !== undefined) {
      const refused = readTypes(not.type, path)!
      const types = [...(schema.types ?? typesOf(schema))].filter(
        (type) => !refused.has(type) && !(type === 'integer' && refused.has('number')),
      )
      if (refused.has('integer') && types.includes('number')) throw unsupportedKeyword('not', path)
      return types.length === 0 ? [] : [{ ...schema, types: new Set(types) }]
    }
    const refused = Array.isArray(not.enum)
      ? (not.enum as readonly unknown[])
      : 'const' in not
        ? [not.const]
        : undefined
    if (refused && schema.values) {
      const values = schema.values.filter((each) => !refused.some((other) => isEqualJson(each, other)))
      return values.length === 0 ? [] : [{ ...schema, values }]
    }
    const [name, ...others] = readRequired(not.required)
    if (name !== undefined && others.length === 0)
      return schema.required.has(name)
        ? []
        : [{ ...schema, properties: new Map([...schema.properties, [name, false]]) }]
  }
  throw unsupportedKeyword('not', path)
}
