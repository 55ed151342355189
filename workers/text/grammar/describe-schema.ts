import type { JsonSchema } from '../../../lib/contract/request.js'
import {
  describeProperty,
  flattenSchema,
  matchesPattern,
  unsupportedKeyword,
  type FlatSchema,
  type Schema,
} from './flatten-schema.js'
import {
  choice,
  impossible,
  literal,
  nothing,
  optional,
  pruneGrammar,
  repeat,
  rule,
  sequence,
  type GrammarNode,
  type GrammarRules,
} from './grammar-node.js'
import { typeOfValue, typesOf, writeJson, type JsonType } from './json-values.js'
import { describeIntegers, describeNumbers } from './number-grammar.js'
import { stringFormats } from './string-formats.js'
import { UnsupportedForm } from './unsupported-form.js'
import { describeOtherNames, describeString, stringRules } from './describe-string.js'

/** The largest number of rules of a grammar. */
const maxRules = 2000

const comma = literal(', ')

/**
 * Describes a JSON schema as a grammar, with the rule `root`. A text of the grammar is a JSON value that is valid by the
 * schema: in one line, with one space after each comma and colon, with the properties in the order of the schema, and without
 * properties that the schema does not name, unless `additionalProperties` allows them explicitly or no property is named.
 * Numbers have up to 15 digits. The grammar does not contain all valid values, but only valid ones.
 *
 * The keywords are those of the drafts 4 to 2020-12: https://json-schema.org/specification
 * @throws UnsupportedForm for a keyword that cannot be held, and for a schema that no value is valid by
 */
export function describeSchema(schema: Schema): GrammarRules {
  const root: JsonSchema = typeof schema === 'boolean' ? {} : schema
  const rules = new Map<string, GrammarNode>()
  const ruleNames = new Map<string, string>()

  /** Returns a rule for the values of a schema. Equal schemas share a rule, so a schema can contain itself. */
  function describe(part: Schema, path: string): GrammarNode {
    const alternatives = flattenSchema(root, part, path)
    const key = JSON.stringify(alternatives, writeCollections)
    const known = ruleNames.get(key)
    if (known !== undefined) return rule(known)
    if (rules.size > maxRules) throw new UnsupportedForm('The JSON schema is too large.')
    const name = `value${ruleNames.size}`
    ruleNames.set(key, name)
    rules.set(name, impossible)
    rules.set(name, choice(alternatives.flatMap((each) => describeFlat(each, path))))
    return rule(name)
  }

  function describeFlat(flat: FlatSchema, path: string): readonly GrammarNode[] {
    if (flat.values)
      return flat.values
        .filter((value) => isAllowed(value, flat, path))
        .map((value) => literal(writeJson(value)))
    return [...typesOf(flat)].flatMap((type) => describeType(type, flat, path) ?? [])
  }

  function describeType(type: JsonType, flat: FlatSchema, path: string): GrammarNode | undefined {
    switch (type) {
      case 'null':
        return literal('null')
      case 'boolean':
        return choice([literal('true'), literal('false')])
      case 'string':
        return describeString(flat, path)
      case 'integer':
      case 'number':
        return describeNumber(type, flat, path)
      case 'array':
        return describeArray(flat, path)
      case 'object':
        return describeObject(flat, path)
    }
  }

  function describeArray(flat: FlatSchema, path: string): GrammarNode | undefined {
    const { prefixItems, items = true, minItems, maxItems } = flat
    if (minItems > maxItems) return undefined
    if (flat.uniqueItems && maxItems > 1) return describeUniqueArray(flat, path)
    const item = describe(items, `${path}/items`)
    const prefix = prefixItems
      .slice(0, maxItems)
      .map((each, index) => describe(each, `${path}/items/${index}`))
    const others = (min: number, max: number) => repeat(sequence(comma, item), Math.max(0, min), max)
    if (prefix.length === 0) {
      if (maxItems === 0) return literal('[]')
      const list = sequence(item, others(minItems - 1, maxItems - 1))
      return sequence(literal('['), minItems === 0 ? optional(list) : list, literal(']'))
    }
    // The first items can end early, where `minItems` allows it.
    let rest = others(minItems - prefix.length, maxItems - prefix.length)
    for (const [index, each] of [...prefix.entries()].toReversed()) {
      const next = sequence(...(index > 0 ? [comma] : []), each, rest)
      rest = index >= minItems ? optional(next) : next
    }
    return sequence(literal('['), rest, literal(']'))
  }

  /** Writes the items in the order of `enum`, each at most once. */
  function describeUniqueArray(flat: FlatSchema, path: string): GrammarNode {
    const alternatives = flat.items === undefined ? [] : flattenSchema(root, flat.items, `${path}/items`)
    const values = alternatives.flatMap((each) =>
      (each.values ?? []).filter((value) => isAllowed(value, each, path)),
    )
    const isListed = alternatives.length > 0 && alternatives.every((each) => each.values !== undefined)
    if (!isListed || flat.prefixItems.length > 0 || flat.minItems > 1 || flat.maxItems < values.length)
      throw unsupportedKeyword('uniqueItems', path)
    const texts = [...new Set(values.map(writeJson))].map(literal)
    const list = describeOrder(
      'items',
      texts.map((text) => ({ text, isRequired: false })),
      flat.minItems === 0,
    )
    return sequence(literal('['), list, literal(']'))
  }

  /** Writes parts in their order, with commas between them. */
  function describeOrder(
    prefix: string,
    parts: readonly { readonly text: GrammarNode; readonly isRequired: boolean }[],
    canBeEmpty: boolean,
  ): GrammarNode {
    const add = (node: GrammarNode) => {
      const name = `${prefix}${rules.size}`
      rules.set(name, node)
      return rule(name)
    }
    /** The parts after the part that was written last, from the last one to the first. */
    let rest = nothing
    const starts: GrammarNode[] = []
    for (const { text, isRequired } of parts.toReversed()) {
      const part = text.kind === 'rule' ? text : add(text)
      if (isRequired) starts.length = 0
      starts.unshift(rest === nothing ? part : sequence(part, rest))
      const next = sequence(comma, part)
      rest = add(sequence(isRequired ? next : optional(next), ...(rest === nothing ? [] : [rest])))
    }
    const isEmpty = canBeEmpty && parts.every(({ isRequired }) => !isRequired)
    return choice([...starts, ...(isEmpty ? [nothing] : [])])
  }

  function describeObject(flat: FlatSchema, path: string): GrammarNode | undefined {
    const { minProperties, maxProperties } = flat
    const named = listNamed(flat, path)
    if (!named) return undefined
    const parts: { readonly text: GrammarNode; readonly isRequired: boolean }[] = named.map(
      ({ name, schema: each, isRequired }) => ({
        text: sequence(literal(`${JSON.stringify(name)}: `), describe(each, `${path}/properties/${name}`)),
        isRequired,
      }),
    )
    const requiredCount = named.filter(({ isRequired }) => isRequired).length
    const other = describeOthers(flat, path)
    if (requiredCount > maxProperties) return undefined
    if (named.length === 0 && other) {
      if (minProperties > 1) throw unsupportedKeyword('minProperties', path)
      const pairs =
        maxProperties === 0 ? nothing : sequence(other, repeat(sequence(comma, other), 0, maxProperties - 1))
      return sequence(literal('{'), minProperties === 0 ? optional(pairs) : pairs, literal('}'))
    }
    if (minProperties > Math.max(1, requiredCount)) throw unsupportedKeyword('minProperties', path)
    // Properties that the schema does not name are possible only as long as their number is not limited.
    const isLimited = maxProperties < Infinity
    if (isLimited && maxProperties < named.length) throw unsupportedKeyword('maxProperties', path)
    if (other && !isLimited)
      parts.push({ text: sequence(other, repeat(sequence(comma, other), 0)), isRequired: false })
    return sequence(literal('{'), describeOrder('members', parts, minProperties === 0), literal('}'))
  }

  /** Lists the properties that are written by name. @returns undefined if a required one cannot exist */
  function listNamed(flat: FlatSchema, path: string) {
    const undeclared = [...flat.required].filter((name) => !flat.properties.has(name))
    const names = [...flat.properties.keys(), ...undeclared].filter((name) => isNameAllowed(flat, name, path))
    if ([...flat.required].some((name) => !names.includes(name))) return undefined
    return names
      .map((name) => ({
        name,
        schema: describeProperty(flat, name) ?? true,
        isRequired: flat.required.has(name),
      }))
      .filter(({ schema: each, isRequired }) => isRequired || each !== false)
  }

  function isNameAllowed({ propertyNames }: FlatSchema, name: string, path: string): boolean {
    return propertyNames.every((each) =>
      flattenSchema(root, each, `${path}/propertyNames`).some((flat) =>
        flat.values ? flat.values.includes(name) : isAllowed(name, flat, `${path}/propertyNames`),
      ),
    )
  }

  /** Describes a property that the schema does not name; undefined if there can be none. */
  function describeOthers(flat: FlatSchema, path: string): GrammarNode | undefined {
    const { properties, required, patternProperties, propertyNames } = flat
    const excluded = [...new Set([...properties.keys(), ...required])]
    const write = (key: GrammarNode, each: Schema, place: string) => {
      const name = `other${rules.size}`
      rules.set(name, impossible)
      rules.set(name, sequence(key, literal(': '), describe(each, `${path}/${place}`)))
      return rule(name)
    }
    const [pattern] = patternProperties.keys()
    if (pattern !== undefined) {
      // Such a name can also match another pattern, or be the name of a property: then both schemas must hold.
      const matched = [...properties].flatMap(([name, each]) => (matchesPattern(pattern, name) ? [each] : []))
      const value = { allOf: [...patternProperties.values(), ...matched] }
      if (propertyNames.length > 0)
        throw unsupportedKeyword('propertyNames', path, ' together with "patternProperties"')
      return write(describePropertyName({ pattern }, path), value, 'patternProperties')
    }
    const isFree = [...properties.values()].every((each) => each === false) && required.size === 0
    const additional = flat.additionalProperties ?? isFree
    if (additional === false) return undefined
    if (propertyNames.length === 0)
      return write(describeOtherNames(excluded), additional, 'additionalProperties')
    if (excluded.length > 0) return undefined
    return write(describePropertyName({ allOf: propertyNames }, path), additional, 'additionalProperties')
  }

  function describePropertyName(names: JsonSchema, path: string): GrammarNode {
    return describe({ allOf: [{ type: 'string' }, names] }, `${path}/propertyNames`)
  }

  for (const [name, node] of stringRules) rules.set(name, node)
  rules.set('root', describe(schema, '#'))
  const pruned = pruneGrammar(rules)
  if (!pruned) throw new UnsupportedForm('No value is valid by the JSON schema.')
  return pruned
}

/** Writes maps and sets for the comparison of schemas, and infinite numbers, which JSON lacks. */
function writeCollections(_: string, value: unknown): unknown {
  if (value instanceof Map || value instanceof Set) return [...(value as Iterable<unknown>)]
  return value === Infinity || value === -Infinity ? String(value) : value
}

function describeNumber(type: 'number' | 'integer', flat: FlatSchema, path: string): GrammarNode | undefined {
  const limits = {
    ...lowerLimit(flat),
    ...upperLimit(flat),
  }
  if (flat.formats.includes('int32')) {
    limits.min = Math.max(limits.min ?? -Infinity, -(2 ** 31))
    limits.max = Math.min(limits.max ?? Infinity, 2 ** 31 - 1)
  }
  const isInteger =
    type === 'integer' || flat.formats.some((format) => format === 'int32' || format === 'int64')
  const multiples = flat.multiples.filter((each) => each !== 1)
  if (multiples.length > 0) return describeMultiples(multiples, limits, path)
  if (isInteger || flat.multiples.length > 0) return describeIntegers(limits)
  return describeNumbers(limits)
}

interface Limits {
  min?: number
  max?: number
  isMinExclusive?: boolean
  isMaxExclusive?: boolean
}

function lowerLimit({ minimum, exclusiveMinimum }: FlatSchema): Limits {
  const isMinExclusive = exclusiveMinimum >= minimum
  const min = Math.max(minimum, exclusiveMinimum)
  return min === -Infinity ? {} : { min, isMinExclusive }
}

function upperLimit({ maximum, exclusiveMaximum }: FlatSchema): Limits {
  const isMaxExclusive = exclusiveMaximum <= maximum
  const max = Math.min(maximum, exclusiveMaximum)
  return max === Infinity ? {} : { max, isMaxExclusive }
}

/** The largest number of values that are written one by one. */
const maxListed = 1000

function describeMultiples(multiples: readonly number[], limits: Limits, path: string): GrammarNode {
  const [multiple, ...others] = multiples
  const isWhole =
    multiple !== undefined && Number.isSafeInteger(multiple) && multiple > 0 && others.length === 0
  if (isWhole && limits.min === undefined && limits.max === undefined && /^10+$/.test(String(multiple))) {
    const zeros = String(multiple).slice(1)
    const largest = 10 ** (15 - zeros.length) - 1
    const scaled = choice([
      describeIntegers({ min: -largest, max: -1 }) ?? impossible,
      describeIntegers({ min: 1, max: largest }) ?? impossible,
    ])
    return choice([literal('0'), sequence(scaled, literal(zeros))])
  }
  const { min = NaN, max = NaN, isMinExclusive, isMaxExclusive } = limits
  if (!isWhole || !((max - min) / multiple < maxListed)) throw unsupportedKeyword('multipleOf', path)
  const listed: GrammarNode[] = []
  for (let value = Math.ceil(min / multiple) * multiple; value <= max; value += multiple) {
    if ((value === min && isMinExclusive) || (value === max && isMaxExclusive)) continue
    listed.push(literal(String(value)))
  }
  return choice(listed)
}

/** Returns whether a value of `enum` is valid by the other keywords of its schema. */
function isAllowed(value: unknown, flat: FlatSchema, path: string): boolean {
  const type = typeOfValue(value)
  const { types } = flat
  if (types && !types.has(type) && !(type === 'integer' && types.has('number'))) return false
  if (typeof value === 'string') {
    const length = Array.from(value).length
    const patterns = [
      ...flat.patterns,
      ...flat.formats.flatMap((format) => {
        const source = stringFormats.get(format)
        return source === undefined ? [] : [`^(?:${source})$`]
      }),
    ]
    return (
      length >= flat.minLength &&
      length <= flat.maxLength &&
      patterns.every((pattern) => matchesPattern(pattern, value))
    )
  }
  if (typeof value === 'number') {
    return (
      value >= flat.minimum &&
      value <= flat.maximum &&
      value > flat.exclusiveMinimum &&
      value < flat.exclusiveMaximum &&
      flat.multiples.every((each) => value % each === 0)
    )
  }
  if (type !== 'object' && type !== 'array') return true
  const implied = typesOf({ ...flat, types: undefined, values: undefined })
  if (!implied.has(type) || implied.size > 2) return true
  throw unsupportedKeyword('enum', path, ` with values of the type "${type}" and other keywords`)
}
