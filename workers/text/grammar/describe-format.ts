import type { RequestFormat } from '../../../lib/contract/request.js'
import type { TagFormat } from './tag-format.js'

/** Returns the form that the option `responseFormat` demands. */
export function describeFormat(format: RequestFormat): TagFormat {
  switch (format.kind) {
    case 'json':
      return { type: 'json_schema', json_schema: { type: ['object', 'array'] } }
    case 'json-schema':
      return { type: 'json_schema', json_schema: format.schema }
    case 'regex':
      return { type: 'regex', pattern: format.pattern }
    case 'grammar':
      return { type: 'grammar', grammar: format.grammar }
  }
}
