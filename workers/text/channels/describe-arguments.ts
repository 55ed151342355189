import { RivuletError } from '../../../lib/contract/errors.js'
import type { JsonSchema } from '../../../lib/contract/request.js'
import type { TagFormat } from '../grammar/tag-format.js'
import type { CallSyntax, ElementMarks } from './answer-family.js'
import { readPropertyTypes } from './argument-types.js'

/**
 * Describes the arguments of a call: values that are valid by the schema, as the family writes them. Arguments that the schema
 * does not name are not possible: a tool with `properties: {}` has none.
 * @throws RivuletError `invalid-option` for a schema that the family's syntax cannot hold
 */
export function describeArguments(syntax: CallSyntax, schema: JsonSchema): TagFormat {
  if (syntax.kind === 'json' || syntax.kind === 'json-list' || syntax.kind === 'named') {
    return describeJsonArguments(schema)
  }
  const fields = readFields(schema)
  if (syntax.kind === 'elements') {
    const elements = fields.map((field) => {
      const element = describeElement(syntax, field)
      return field.isRequired ? element : optional(element)
    })
    return sequence(elements)
  }
  const { quote, pair, separator } =
    syntax.kind === 'python'
      ? { quote: undefined, pair: '=', separator: ', ' }
      : { quote: syntax.quote, pair: ':', separator: ',' }
  return joinFields(
    fields.map((field) => ({
      isRequired: field.isRequired,
      form: sequence([text(field.name + pair), describeLiteral(field, quote)]),
    })),
    separator,
  )
}

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

/** Describes arguments as a JSON object. */
export function describeJsonArguments(schema: JsonSchema): TagFormat {
  const isOpen = openingKeywords.some((keyword) => keyword in schema)
  return { type: 'json_schema', json_schema: isOpen ? schema : { ...schema, additionalProperties: false } }
}

/** An argument whose value is written by itself. */
interface Field {
  readonly name: string
  readonly isRequired: boolean
  /** The types that the value may have; all if the schema does not say. */
  readonly types: ReadonlySet<string>
  /** With the definitions of the whole schema, so that its references hold. */
  readonly schema: JsonSchema
}

/** The keywords of an object whose arguments can be written one by one. */
const fieldKeywords: ReadonlySet<string> = new Set([
  'type',
  'properties',
  'required',
  'additionalProperties',
  'title',
  'description',
  'examples',
  '$schema',
  '$id',
  '$defs',
  'definitions',
])

function readFields(schema: JsonSchema): readonly Field[] {
  const other = Object.keys(schema).find((keyword) => !fieldKeywords.has(keyword))
  if (other !== undefined) throw refuseSchema(`the keyword "${other}" beside the arguments`)
  const { properties = {}, required = [], $defs, definitions } = schema
  const names = new Set<unknown>(Array.isArray(required) ? required : [])
  const shared = { ...($defs !== undefined && { $defs }), ...(definitions !== undefined && { definitions }) }
  return Object.entries(properties as Readonly<Record<string, JsonSchema | boolean>>).map(([name, each]) => ({
    name,
    isRequired: names.has(name),
    types: readPropertyTypes(schema, name),
    schema: typeof each === 'boolean' ? shared : { ...each, ...shared },
  }))
}

function describeElement(marks: ElementMarks, field: Field): TagFormat {
  const line = marks.hasValueLines ? '\n' : ''
  const valueOpen = marks.valueOpen === '' ? '' : `\n${marks.valueOpen}`
  return {
    type: 'tag',
    begin: marks.keyOpen + field.name + marks.keyEnd + valueOpen + line,
    content: isText(field) ? describeText(field) : { type: 'json_schema', json_schema: field.schema },
    end: `${line}${marks.valueEnd}\n`,
  }
}

/** @param quote the token that encloses texts; undefined in Python, whose texts JSON's are too */
function describeLiteral(field: Field, quote: string | undefined): TagFormat {
  const { name, types, schema } = field
  if (quote === undefined) {
    if (types.size === 1 && types.has('boolean')) return choice([text('True'), text('False')])
    return { type: 'json_schema', json_schema: schema }
  }
  if (isText(field)) return { type: 'tag', begin: quote, content: describeText(field), end: quote }
  const isPlain = types.size > 0 && [...types].every((type) => plainTypes.has(type))
  if (isPlain) return { type: 'json_schema', json_schema: schema }
  throw refuseSchema(`the argument "${name}", which is neither a text nor a number nor a boolean`)
}

const plainTypes: ReadonlySet<string> = new Set(['number', 'integer', 'boolean', 'null'])

function isText({ types }: Field): boolean {
  return types.size === 1 && types.has('string')
}

/** Describes a text that is written without quotes. */
function describeText({ name, schema }: Field): TagFormat {
  const { enum: values, const: constant, minLength = 0, maxLength, pattern, format, $ref } = schema
  if (constant !== undefined) return text(String(constant))
  if (Array.isArray(values)) return choice(values.map((value) => text(String(value))))
  const keyword = Object.entries({ pattern, format, $ref }).find(([, value]) => value !== undefined)?.[0]
  if (keyword !== undefined) throw refuseSchema(`"${keyword}" of the text "${name}"`)
  if (minLength === 0 && maxLength === undefined) return { type: 'any_text' }
  const most = maxLength === undefined ? '' : String(maxLength)
  // Without the characters with which a mark can start.
  return { type: 'regex', pattern: `[^<\\[\\n]{${String(minLength)},${most}}` }
}

/** Joins arguments: the required ones, and then any of the optional ones. */
function joinFields(
  fields: readonly { readonly isRequired: boolean; readonly form: TagFormat }[],
  separator: string,
): TagFormat {
  const required = fields.filter(({ isRequired }) => isRequired).map(({ form }) => form)
  const others = fields.filter(({ isRequired }) => !isRequired).map(({ form }) => form)
  const follow = (form: TagFormat) => optional(sequence([text(separator), form]))
  const [first, ...rest] = required
  if (first) {
    const following = rest.flatMap((form) => [text(separator), form])
    return sequence([first, ...following, ...others.map(follow)])
  }
  const starts = others.map((form, index) => sequence([form, ...others.slice(index + 1).map(follow)]))
  return choice([...starts, nothing])
}

const nothing: TagFormat = { type: 'regex', pattern: '' }
const text = (value: string): TagFormat => (value === '' ? nothing : { type: 'const_string', value })
const optional = (form: TagFormat): TagFormat => ({ type: 'or', elements: [form, nothing] })

function sequence(elements: readonly TagFormat[]): TagFormat {
  return elements.length === 0
    ? nothing
    : elements.length === 1
      ? elements[0]!
      : { type: 'sequence', elements }
}

function choice(elements: readonly TagFormat[]): TagFormat {
  return elements.length === 1 ? elements[0]! : { type: 'or', elements }
}

function refuseSchema(what: string): RivuletError {
  return new RivuletError(
    'invalid-option',
    `"tools" cannot be held: the way in which this model writes calls has no place for ${what}. Change the schema.`,
    { details: { option: 'tools' } },
  )
}
