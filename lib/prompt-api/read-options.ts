import type { JsonSchema, ResponseFormat, Tool } from '../contract/request.js'
import { createException } from './exceptions.js'
import {
  samplingModes,
  type LanguageModelMessageType,
  type LanguageModelPromptOptions,
  type LanguageModelSamplingMode,
} from './dictionaries.js'

/** The options of a session that decide what it can do. */
export interface SessionOptions {
  readonly samplingMode: LanguageModelSamplingMode
  /** Always contain `text`. */
  readonly inputTypes: ReadonlySet<LanguageModelMessageType>
  readonly outputTypes: ReadonlySet<LanguageModelMessageType>
  /** Canonical BCP 47 tags. */
  readonly languages: readonly string[]
  readonly tools: readonly Tool[]
  /** True if the model shall reason, which sessions do not support. */
  readonly wantsThoughts: boolean
}

/**
 * Reads the options of `create()` and `availability()`.
 * @throws TypeError; RangeError for an invalid language tag; what a schema's getters throw
 */
export function readSessionOptions(options: unknown): SessionOptions {
  const { samplingMode = 'balanced', expectedInputs, expectedOutputs, tools } = readOptions(options)
  const mode = samplingModes.find((known) => known === samplingMode)
  if (!mode) throw new TypeError(`"samplingMode" must be one of ${samplingModes.join(', ')}.`)
  const inputs = readExpected(expectedInputs, 'expectedInputs')
  const outputs = readExpected(expectedOutputs, 'expectedOutputs')
  const read = readTools(tools)
  if (read.length > 0 && !outputs.types.has('tool-call')) {
    throw new TypeError('A session with "tools" needs { type: "tool-call" } in "expectedOutputs".')
  }
  return {
    samplingMode: mode,
    inputTypes: inputs.types,
    outputTypes: outputs.types,
    languages: [...inputs.languages, ...outputs.languages],
    tools: read,
    wantsThoughts: wantsThoughts(options),
  }
}

/** Returns true if the options demand reasoning (explainer: "Thinking mode"). */
export function wantsThoughts(options: unknown): boolean {
  const { effort = 'none', includeThoughts } = readOptions(readOptions(options).thinking)
  return effort !== 'none' || Boolean(includeThoughts)
}

/** Returns the members of a dictionary. @throws TypeError if the value is no dictionary */
export function readOptions(options: unknown): Readonly<Record<string, unknown>> {
  if (options === undefined || options === null) return {}
  if (typeof options !== 'object' && typeof options !== 'function') {
    throw new TypeError('The options must be an object.')
  }
  return options as Readonly<Record<string, unknown>>
}

/** Returns the signal of a call. @throws TypeError if it is no AbortSignal */
export function readSignal(options: unknown): AbortSignal | undefined {
  const { signal } = readOptions(options)
  if (signal === undefined || signal instanceof AbortSignal) return signal
  throw new TypeError('"signal" must be an AbortSignal.')
}

const types: readonly LanguageModelMessageType[] = ['text', 'image', 'audio', 'tool-call', 'tool-response']

function readExpected(value: unknown, name: string) {
  const items = readList(value, name).map((item) => {
    const { type, languages } = readOptions(item)
    const known = types.find((each) => each === type)
    if (!known) throw new TypeError(`A type in "${name}" must be one of ${types.join(', ')}.`)
    // An invalid tag is a RangeError (ECMA-402).
    return { type: known, languages: Intl.getCanonicalLocales(readList(languages, name).map(String)) }
  })
  return {
    types: new Set<LanguageModelMessageType>(['text', ...items.map(({ type }) => type)]),
    languages: items.flatMap(({ languages }) => languages),
  }
}

function readTools(value: unknown): readonly Tool[] {
  const tools = readList(value, 'tools').map((tool): Tool => {
    const { name, description, inputSchema, execute } = readOptions(tool)
    if (typeof name !== 'string' || name === '') throw new TypeError('A tool needs a "name".')
    if (typeof description !== 'string' || description === '') {
      throw new TypeError(`The tool ${name} needs a "description".`)
    }
    if (execute !== undefined) {
      throw createException(
        'NotSupportedError',
        `The tool ${name} has "execute", but sessions do not run tools. Run the calls that prompt() returns.`,
      )
    }
    return { name, description, parameters: readInputSchema(inputSchema, name) }
  })
  if (new Set(tools.map(({ name }) => name)).size < tools.length) {
    throw new TypeError('"tools" contains the same name twice.')
  }
  return tools
}

function readInputSchema(schema: unknown, name: string): JsonSchema {
  if (typeof schema !== 'object' || schema === null) {
    throw new TypeError(`The tool ${name} needs an "inputSchema": a JSON schema.`)
  }
  const { type, properties, required } = schema as Readonly<Record<string, unknown>>
  if (type !== 'object') throw new TypeError(`The "inputSchema" of ${name} must have the type "object".`)
  if (properties !== undefined && (typeof properties !== 'object' || properties === null)) {
    throw new TypeError(`"properties" in the "inputSchema" of ${name} must be an object.`)
  }
  if (required !== undefined && !Array.isArray(required)) {
    throw new TypeError(`"required" in the "inputSchema" of ${name} must be a list.`)
  }
  // A cycle is a TypeError here, and a getter that throws is passed on.
  return JSON.parse(JSON.stringify(schema)) as JsonSchema
}

function readList(value: unknown, name: string): readonly unknown[] {
  if (value === undefined) return []
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) {
    return [...(value as Iterable<unknown>)]
  }
  throw new TypeError(`"${name}" must be a list.`)
}

/** The constraint of an answer. */
export interface ReadConstraint {
  readonly format: ResponseFormat
  /** What the model reads of it; undefined with `omitResponseConstraintInput`. */
  readonly instruction: string | undefined
}

/**
 * Reads the constraint of a prompt.
 * @returns undefined if there is none
 * @throws TypeError for a value that is no JSON schema and no RegExp; `NotSupportedError` if it cannot be written as JSON
 */
export function readConstraint(options: LanguageModelPromptOptions | undefined): ReadConstraint | undefined {
  const { responseConstraint: constraint, omitResponseConstraintInput } = readOptions(options)
  if (constraint === undefined || constraint === null) {
    if (omitResponseConstraintInput) {
      throw new TypeError('"omitResponseConstraintInput" needs a "responseConstraint".')
    }
    return undefined
  }
  if (constraint instanceof RegExp) {
    const instruction = `Answer with a text that matches this regular expression: ${constraint.source}`
    return {
      format: { regex: constraint },
      instruction: omitResponseConstraintInput ? undefined : instruction,
    }
  }
  if (typeof constraint !== 'object' || Array.isArray(constraint)) {
    throw new TypeError('"responseConstraint" must be a JSON schema or a RegExp.')
  }
  const text = writeSchema(constraint)
  const instruction = `Answer with JSON that is valid by this JSON schema: ${text}`
  return {
    format: { jsonSchema: JSON.parse(text) as JsonSchema },
    instruction: omitResponseConstraintInput ? undefined : instruction,
  }
}

function writeSchema(schema: object): string {
  try {
    return JSON.stringify(schema)
  } catch (error) {
    throw createException('NotSupportedError', 'The JSON schema cannot be written as JSON.', error)
  }
}

/** Returns the primary language of a tag. @throws RangeError for an invalid tag */
export function toLanguage(tag: string): string {
  return new Intl.Locale(tag).language
}
