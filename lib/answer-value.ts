import type { StandardSchemaV1 } from '@standard-schema/spec'
import { RivuletError, describeError } from './contract/errors.js'
import type { RequestFormat, ResponseFormat } from './contract/request.js'
import type { TokenChunk } from './contract/worker-api.js'
import { createPartialJson, type PartialJson } from './partial-json.js'
import { describeIssues, isStandardSchema } from './standard-schema.js'

/** The type of `result.value` for a form of the answer. */
export type ValueOf<Format> = Format extends undefined
  ? undefined
  : Format extends StandardSchemaV1
    ? StandardSchemaV1.InferOutput<Format>
    : Format extends { readonly regex: unknown } | { readonly grammar: unknown }
      ? string
      : unknown

/** The type of a partial value: as the schema's input, and everything in it can be missing or cut off. */
export type PartialValueOf<Format> = Format extends undefined
  ? undefined
  : Format extends StandardSchemaV1
    ? PartialValue<StandardSchemaV1.InferInput<Format>>
    : ValueOf<Format>

/** A value of which a part may exist so far. A string may be the start of one. */
export type PartialValue<Value> = Value extends string
  ? string
  : Value extends readonly (infer Item)[]
    ? readonly PartialValue<Item>[]
    : Value extends object
      ? { readonly [Key in keyof Value]?: PartialValue<Value[Key]> }
      : Value

/** Reads the value of an answer that has a form. */
export interface AnswerValue {
  /** Returns the value of a complete answer. @throws RivuletError `value-invalid` */
  read(text: string): Promise<unknown>
  /** Returns a reader of the value as it grows. */
  readPartial(): PartialJson
}

/**
 * Creates the reader of a form.
 * @param format the checked form; undefined for an answer without one
 * @param source the form as the caller passed it. A Standard Schema also validates the value
 */
export function createAnswerValue(
  format: RequestFormat | undefined,
  source: ResponseFormat | undefined,
): AnswerValue | undefined {
  if (!format) return undefined
  const isJson = format.kind === 'json' || format.kind === 'json-schema'
  return {
    read: async (text) => {
      const value = isJson ? parse(text) : text
      return isStandardSchema(source) ? validate(value, source, text) : value
    },
    readPartial: isJson ? createPartialJson : createGrowingText,
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new RivuletError('value-invalid', `The answer is not valid JSON: ${describeError(error)}`, {
      cause: error,
      text,
      details: { issues: [] },
    })
  }
}

async function validate(value: unknown, schema: StandardSchemaV1, text: string): Promise<unknown> {
  let checked: StandardSchemaV1.Result<unknown>
  try {
    checked = await schema['~standard'].validate(value)
  } catch (error) {
    const message = `The schema of "responseFormat" threw an error: ${describeError(error)}`
    throw new RivuletError('value-invalid', message, { cause: error, text, details: { issues: [] } })
  }
  const { issues } = checked
  if (!issues) return checked.value
  throw new RivuletError('value-invalid', `The answer is not valid: ${describeIssues(issues)}`, {
    text,
    details: { issues },
  })
}

/** A partial value that is the text itself. */
function createGrowingText(): PartialJson {
  let value = ''
  return {
    add(text) {
      value += text
      return text !== ''
    },
    get value() {
      return value
    },
  }
}

/** Yields the value so far after each chunk that changes it. */
export async function* readPartialValues(
  chunks: AsyncIterable<TokenChunk>,
  partial: PartialJson,
): AsyncGenerator<unknown, undefined> {
  for await (const { text } of chunks) if (partial.add(text)) yield partial.value
}
