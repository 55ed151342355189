import type { JsonSchema } from 'rivulet'
import { createChat } from 'rivulet/chat'
import { browserTexts } from '../app/stored.js'

const storageKey = 'rivulet-demo-schema'

/** What the user's schema starts from. */
const exampleSchema = `{
  "type": "object",
  "properties": {
    "name": { "type": "string", "maxLength": 20 },
    "colors": {
      "type": "array",
      "items": { "enum": ["red", "green", "blue"] },
      "minItems": 1,
      "maxItems": 3
    },
    "isHappy": { "type": "boolean" }
  },
  "required": ["name", "colors", "isHappy"]
}`

export type CheckedSchema =
  | { readonly kind: 'valid'; readonly schema: JsonSchema }
  | { readonly kind: 'invalid'; readonly error: string }

/** Checks what can be checked without a model: a runtime may still refuse a keyword, by its name. */
export function checkSchema(text: string): CheckedSchema {
  let schema: unknown
  try {
    schema = JSON.parse(text)
  } catch (error) {
    return { kind: 'invalid', error: `This is not JSON: ${(error as Error).message}` }
  }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    return { kind: 'invalid', error: 'A JSON schema is an object, such as { "type": "string" }.' }
  }
  try {
    createChat({ engine: noEngine, sampling: { responseFormat: { jsonSchema: schema as JsonSchema } } })
  } catch (error) {
    return { kind: 'invalid', error: (error as Error).message }
  }
  return { kind: 'valid', schema: schema as JsonSchema }
}

/** Validation needs no engine. */
const noEngine = new Promise<never>(() => {})

/** Returns the text of the user's schema; an example before the first one. */
export function readOwnSchema(): string {
  const text = browserTexts.read(storageKey)
  return text !== undefined && checkSchema(text).kind === 'valid' ? text : exampleSchema
}

export function saveOwnSchema(text: string): void {
  browserTexts.write(storageKey, text)
}
