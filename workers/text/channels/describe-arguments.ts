import type { JsonSchema } from '../../../lib/contract/request.js'
import { describeSchema } from '../grammar/describe-schema.js'
import { flattenSchema, unsupportedKeyword, type FlatSchema, type Schema } from '../grammar/flatten-schema.js'
import {
  choice,
  invertRanges,
  literal,
  nothing,
  optional,
  pruneGrammar,
  repeat,
  rule,
  sequence,
  set,
  type GrammarNode,
  type GrammarRules,
} from '../grammar/grammar-node.js'
import { typesOf } from '../grammar/json-values.js'
import { parsePattern } from '../grammar/parse-pattern.js'
import { stringFormats, unsupportedFormats } from '../grammar/string-formats.js'
import { UnsupportedForm } from '../grammar/unsupported-form.js'
import type { CallSyntax } from './answer-family.js'

/** How a syntax writes an object of arguments that is not JSON. Values are JSON, but texts can have no quotes. */
interface ArgumentStyle {
  readonly separator: string
  readonly writeKey: (name: string) => string
  /** The text after each value. */
  readonly valueEnd: string
  /** The text around a text; undefined if texts are JSON. A text does not contain `end`. */
  readonly quotes: { readonly open: string; readonly close: string; readonly end: string } | undefined
}

/**
 * Describes the arguments of a call: values that are valid by the schema, as the family writes them. Arguments that the schema
 * does not name are left out, unless it allows them explicitly and the family writes JSON.
 * @param encode for the marks in the grammar
 * @throws UnsupportedForm
 */
export function describeArguments(
  syntax: CallSyntax,
  schema: JsonSchema,
  encode: EncodeMark = (text) => text,
): GrammarRules {
  const style = readStyle(syntax, encode)
  return style ? describeStyled(schema, style) : describeSchema(closeArguments(schema))
}

/** Replaces the marks in a text that are control tokens by the characters that the grammar has for them. */
export type EncodeMark = (text: string) => string

/** The keywords that can say more about which arguments a tool has. */
const openingKeywords = [
  'additionalProperties',
  'patternProperties',
  'allOf',
  'anyOf',
  'oneOf',
  '$ref',
  'not',
]

/** Returns a schema without arguments that it does not name: a tool with `properties: {}` has none. */
function closeArguments(schema: JsonSchema): JsonSchema {
  return openingKeywords.some((keyword) => keyword in schema)
    ? schema
    : { ...schema, additionalProperties: false }
}

function readStyle(syntax: CallSyntax, encode: EncodeMark): ArgumentStyle | undefined {
  switch (syntax.kind) {
    case 'elements': {
      const { keyOpen, keyEnd, valueOpen, valueEnd, hasValueLines } = syntax
      const line = hasValueLines ? '\n' : ''
      const between = valueOpen === '' ? '' : `\n${valueOpen}`
      return {
        separator: '',
        writeKey: (name) => encode(keyOpen) + name + encode(keyEnd + between) + line,
        valueEnd: `${line}${encode(valueEnd)}\n`,
        quotes: { open: '', close: '', end: encode(valueEnd) },
      }
    }
    case 'python':
      return { separator: ', ', writeKey: (name) => `${name}=`, valueEnd: '', quotes: undefined }
    case 'quoted': {
      const quote = encode(syntax.quote)
      const quotes = { open: quote, close: quote, end: quote }
      return { separator: ',', writeKey: (name) => `${name}:`, valueEnd: '', quotes }
    }
    default:
      return undefined
  }
}

/** Describes the arguments in the order of the schema. */
function describeStyled(schema: JsonSchema, style: ArgumentStyle): GrammarRules {
  const [flat, ...others] = flattenSchema(schema, schema, '#')
  if (!flat || others.length > 0) {
    throw new UnsupportedForm(
      'The arguments have alternatives ("anyOf", "oneOf"), which this model cannot write.',
    )
  }
  const rules = new Map<string, GrammarNode>()
  const names = [...new Set([...flat.properties.keys(), ...flat.required])]
  const parts = names.map((name, index) => {
    const value = describeValue(schema, flat.properties.get(name) ?? true, name, style)
    rules.set(
      `part${index}`,
      sequence(literal(style.writeKey(name)), value(rules, `v${index}x`), literal(style.valueEnd)),
    )
    return { node: rule(`part${index}`), isRequired: flat.required.has(name) }
  })
  rules.set('root', joinOptional(parts, style.separator, rules))
  const pruned = pruneGrammar(rules)
  if (!pruned) throw new UnsupportedForm('No value is valid by the JSON schema.')
  return pruned
}

/** Joins parts in their order. A separator stands between those that are there. */
function joinOptional(
  parts: readonly { readonly node: GrammarNode; readonly isRequired: boolean }[],
  separator: string,
  rules: Map<string, GrammarNode>,
): GrammarNode {
  let rest = nothing
  let starts: GrammarNode[] = [nothing]
  for (const [index, { node, isRequired }] of [...parts.entries()].toReversed()) {
    const start = sequence(node, rest)
    starts = isRequired ? [start] : [start, ...starts]
    const next = sequence(literal(separator), node)
    rules.set(`rest${index}`, sequence(isRequired ? next : optional(next), rest))
    rest = rule(`rest${index}`)
  }
  return choice(starts)
}

type AddValue = (rules: Map<string, GrammarNode>, prefix: string) => GrammarNode

/** Describes the value of one argument. The grammar's rules get a prefix. */
function describeValue(root: JsonSchema, part: Schema, name: string, style: ArgumentStyle): AddValue {
  const path = `#/properties/${name}`
  if (style.quotes) {
    const { open, close, end } = style.quotes
    const alternatives = flattenSchema(root, part, path)
    const texts = alternatives.filter((flat) => canBeText(flat))
    const isMixed = alternatives.some((flat) =>
      [...typesOf(flat)].some((type) => type !== 'string' && type !== 'null'),
    )
    if (texts.length > 0 && isMixed && texts.some(isNarrow)) {
      throw new UnsupportedForm(`This model cannot write a limited text or another type at ${path}.`)
    }
    if (texts.length > 0) {
      const values = texts.map((flat) =>
        sequence(literal(open), describeText(flat, end, path), literal(close)),
      )
      return () => choice(values)
    }
  }
  const { $defs, definitions } = root
  const schema =
    typeof part === 'boolean'
      ? part
      : { ...part, ...($defs ? { $defs } : {}), ...(definitions ? { definitions } : {}) }
  return (rules, prefix) => addRules(rules, describeSchema(schema), prefix)
}

/** Adds a grammar to the rules of another one, with a prefix to its names. @returns its root */
export function addRules(rules: Map<string, GrammarNode>, added: GrammarRules, prefix: string): GrammarNode {
  for (const [name, node] of added) rules.set(prefix + name, addPrefix(node, prefix))
  return rule(`${prefix}root`)
}

function addPrefix(node: GrammarNode, prefix: string): GrammarNode {
  switch (node.kind) {
    case 'rule':
      return rule(prefix + node.name)
    case 'sequence':
    case 'choice':
      return { ...node, items: node.items.map((item) => addPrefix(item, prefix)) }
    case 'repeat':
      return { ...node, item: addPrefix(node.item, prefix) }
    default:
      return node
  }
}

function canBeText(flat: FlatSchema): boolean {
  return flat.values ? flat.values.some((value) => typeof value === 'string') : typesOf(flat).has('string')
}

/** True if the schema demands more of a text than to be one. */
function isNarrow({ values, patterns, formats, minLength, maxLength }: FlatSchema): boolean {
  return values !== undefined || patterns.length + formats.length > 0 || minLength > 0 || maxLength < Infinity
}

/** Describes a text without quotes and escapes. @param end the text that ends it, which it does not contain */
function describeText(flat: FlatSchema, end: string, path: string): GrammarNode {
  const { values, patterns, formats, minLength, maxLength } = flat
  if (values) return choice(values.flatMap((value) => (typeof value === 'string' ? [literal(value)] : [])))
  const hasLength = minLength > 0 || maxLength < Infinity
  const sources = [
    ...patterns.map((source) => parsePattern(source, false)),
    ...formats.flatMap((format) => {
      const source = stringFormats.get(format)
      if (unsupportedFormats.has(format)) throw unsupportedKeyword('format', path)
      return source === undefined ? [] : [parsePattern(source, true)]
    }),
  ]
  if (sources.length > 1 || (sources.length > 0 && hasLength)) throw unsupportedKeyword('pattern', path)
  const first = end.codePointAt(0)!
  if (hasLength) return repeat(set(invertRanges([[first, first]])), minLength, maxLength)
  return sources[0] ?? repeat(excludeText(end), 0)
}

/**
 * Describes a piece of a text that does not contain `end`: a character, or the start of `end` that another character follows.
 * The first character of `end` must not be in it again.
 */
function excludeText(end: string): GrammarNode {
  const [first = '', ...characters] = Array.from(end)
  const code = (character: string) => [character.codePointAt(0)!, character.codePointAt(0)!] as const
  const other = (character: string) =>
    set(invertRanges([code(first), code(character)].toSorted((a, b) => a[0] - b[0])))
  let rest: GrammarNode | undefined
  for (const character of characters.toReversed()) {
    const differs = other(character)
    rest = rest ? choice([differs, sequence(literal(character), rest)]) : differs
  }
  const outside = set(invertRanges([code(first)]))
  return rest ? choice([outside, sequence(repeat(literal(first), 1), rest)]) : outside
}
