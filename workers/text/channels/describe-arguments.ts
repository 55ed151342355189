import type { JsonSchema } from '../../../lib/contract/request.js'
import type { TagFormat } from '../grammar/tag-format.js'
import type { CallSyntax } from './answer-family.js'

/** Describes the arguments of a call: values that are valid by the schema, as the family writes them. */
export function describeArguments(syntax: CallSyntax, schema: JsonSchema): TagFormat {
  if (syntax.kind === 'json' || syntax.kind === 'json-list' || syntax.kind === 'named') {
    return { type: 'json_schema', json_schema: schema }
  }
  return { type: 'json_schema', json_schema: schema }
}
