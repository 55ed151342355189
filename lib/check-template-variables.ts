import { refuse } from './contract/check-options.js'
import { copyJson, type JsonLimits } from './copy-json.js'

/** Variables that the request itself sets. */
const reservedNames: ReadonlySet<string> = new Set(['messages', 'add_generation_prompt'])

/**
 * Checks the variables of a chat template.
 * @returns a plain copy, which can be posted to the worker
 * @throws RivuletError `invalid-option`
 */
export function checkTemplateVariables(
  value: unknown,
  limits: JsonLimits,
  name: string,
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(`"${name}" must be an object from names to values.`, name)
  }
  const reserved = Object.keys(value).find((key) => reservedNames.has(key))
  if (reserved !== undefined) {
    refuse(`"${name}" must not contain "${reserved}": the request sets this variable itself.`, name)
  }
  return copyJson(value, limits, name) as Readonly<Record<string, unknown>>
}
