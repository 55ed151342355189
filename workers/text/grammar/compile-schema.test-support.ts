import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { JsonSchema } from '../../../lib/contract/request.js'

/** Creates a validator by the schema's own draft. Draft 4 has "id", which later drafts call "$id". */
export function compileSchema(named: JsonSchema): ValidateFunction {
  const { $schema: draft, ...schema } = named
  const Validator = String(draft).includes('2020-12') ? Ajv2020 : Ajv
  const ajv = new Validator({ strict: false, logger: false })
  addFormats.default(ajv)
  ajv.removeKeyword('id')
  return ajv.compile(schema as AnySchema)
}
