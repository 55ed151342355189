import type { StandardSchemaV1 } from '@standard-schema/spec'
import { RivuletError, describeError } from './contract/errors.js'
import type { RequestFormat, ResponseFormat } from './contract/request.js'
import { createPartialJson, type PartialJson } from './partial-json.js'
import { describeIssues, isStandardSchema, readKey } from './standard-schema.js'
import type { TokenIterator } from './token-stream.js'

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
  /** Returns the value of a complete answer, of which the model has added `text`. @throws RivuletError `value-invalid` */
  read(text: string): Promise<unknown>
  /** Returns a reader of the value as it grows. The model's text is added to it. */
  readPartial(): PartialJson
}

/**
 * Creates the reader of a form.
 * @param format the checked form; undefined for an answer without one
 * @param source the form as the caller passed it. A Standard Schema also validates the value
 * @param prefix the start of the answer, which the caller passed with `continueFinalMessage`. It is a part of the value
 */
export function createAnswerValue(
  format: RequestFormat | undefined,
  source: ResponseFormat | undefined,
  prefix = '',
): AnswerValue | undefined {
  if (!format) return undefined
  const isJson = format.kind === 'json' || format.kind === 'json-schema'
  return {
    read: async (added) => {
      const text = prefix + added
      const value = isJson ? parse(text) : text
      return isStandardSchema(source) ? validate(value, source, text) : value
    },
    readPartial() {
      const partial = isJson ? createPartialJson() : createGrowingText()
      partial.add(prefix)
      return partial
    },
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
    // A library's issues, and their lists, can be objects of its own, with loops.
    details: {
      issues: Array.from(issues, ({ message, path = [] }) => ({ message, path: Array.from(path, readKey) })),
    },
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

/** Returns an iterator of the value after each chunk that changes it. It ends, fails and cancels as `chunks` does. */
export function readPartialValues(
  chunks: TokenIterator,
  partial: PartialJson,
): AsyncIterableIterator<unknown, undefined> {
  const iterator: AsyncIterableIterator<unknown, undefined> = {
    async next() {
      for (;;) {
        const { done, value } = await chunks.next()
        if (done) return { done, value: undefined }
        if (partial.add(value.text)) return { done: false, value: partial.value }
      }
    },
    async return() {
      await chunks.return()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
