import type { JsonSchema } from '../../../lib/contract/request.js'
import type { TagFormat } from '../grammar/tag-format.js'
import type { CallSyntax } from './answer-family.js'

/** Describes the arguments of a call: values that are valid by the schema, as the family writes them. */
export function describeArguments(syntax: CallSyntax, schema: JsonSchema): TagFormat {
  const closed = closeArguments(schema)
  if (syntax.kind === 'json' || syntax.kind === 'json-list' || syntax.kind === 'named') {
    return { type: 'json_schema', json_schema: closed }
  }
  return { type: 'json_schema', json_schema: closed }
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

/** Returns a schema without arguments that it does not name: a tool with `properties: {}` has none. */
function closeArguments(schema: JsonSchema): JsonSchema {
  return openingKeywords.some((keyword) => keyword in schema)
    ? schema
    : { ...schema, additionalProperties: false }
}
