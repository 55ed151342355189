import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import { refuse } from './contract/check-options.js'
import { describeError } from './contract/errors.js'

/** True for a schema of a library that implements Standard Schema. ArkType's schemas are functions. */
export function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const { version, validate } = ((value as Partial<StandardSchemaV1>)['~standard'] ?? {}) as Partial<
    StandardSchemaV1['~standard']
  >
  return version === 1 && typeof validate === 'function'
}

/** What makes a library's schemas able to give their JSON schema. Other libraries need a newer version, too. */
const remedies: Readonly<Record<string, string>> = {
  zod: 'Update to zod 4.2 or later',
  valibot: 'Wrap it in toStandardJsonSchema() of @valibot/to-json-schema',
  arktype: 'Update to ArkType 2.1.28 or later',
}

/**
 * Returns the JSON schema of the values that a Standard Schema accepts, before its transforms.
 * https://standardschema.dev/json-schema
 * @throws RivuletError `invalid-option` if the schema cannot give one
 */
export function readJsonSchema(schema: StandardSchemaV1, name: string): unknown {
  const { vendor, jsonSchema } = schema['~standard'] as StandardSchemaV1['~standard'] &
    Partial<StandardJSONSchemaV1['~standard']>
  const advice = 'or pass { jsonSchema }.'
  if (!jsonSchema) {
    const remedy = remedies[vendor] ?? `Use a version of "${vendor}" that implements Standard JSON Schema`
    return refuse(`The ${vendor} schema of "${name}" cannot give its JSON schema. ${remedy}, ${advice}`, name)
  }
  try {
    return jsonSchema.input({ target: 'draft-2020-12' })
  } catch (error) {
    return refuse(
      `The ${vendor} schema of "${name}" has no JSON schema: ${describeError(error)}. Change this part of it, ${advice}`,
      name,
    )
  }
}

/** Returns the key of a part of an issue's path. */
export function readKey(part: PropertyKey | StandardSchemaV1.PathSegment): PropertyKey {
  return typeof part === 'object' ? part.key : part
}

/** Returns the problems of a value as one text, such as `days: must be a number`. */
export function describeIssues(issues: readonly StandardSchemaV1.Issue[]): string {
  const words = issues.slice(0, 5).map(({ message, path = [] }) => {
    const place = path.map((part) => String(readKey(part))).join('.')
    return place === '' ? message : `${place}: ${message}`
  })
  return describeError([...words, ...(issues.length > 5 ? ['…'] : [])].join('; '))
}
