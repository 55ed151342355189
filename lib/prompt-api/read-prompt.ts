// "Validate and canonicalize a prompt", with the conversions of Web IDL before it.
import type { ChatMessage, MessageToolCall } from '../contract/request.js'
import { createException } from './exceptions.js'
import type { LanguageModelMessageRole, LanguageModelMessageType } from './dictionaries.js'
import { LanguageModelToolCall, LanguageModelToolError, LanguageModelToolSuccess } from './tool-values.js'

/** A prompt as messages for the engine. */
export interface ReadPrompt {
  /** Not empty. */
  readonly messages: readonly ChatMessage[]
  /** True if the last message is the assistant's, and the model continues it. */
  readonly isPrefix: boolean
}

const roles: readonly unknown[] = ['system', 'user', 'assistant'] satisfies LanguageModelMessageRole[]
const types: readonly unknown[] = [
  'text',
  'image',
  'audio',
  'tool-call',
  'tool-response',
] satisfies LanguageModelMessageType[]

/**
 * Reads a prompt. A value that is no list becomes a string, as Web IDL demands.
 * @param expectedTypes the types of content that the session was created for
 * @throws TypeError, or a `DOMException`: `SyntaxError` for a wrong `prefix`, `NotSupportedError` for a type of content that the
 *   session was not created for, `DataError` for arguments and results that are no JSON
 */
export function readPrompt(input: unknown, expectedTypes: ReadonlySet<LanguageModelMessageType>): ReadPrompt {
  if (!isIterable(input)) return { messages: [{ role: 'user', content: toText(input) }], isPrefix: false }
  const given = [...input].map(readMessage)
  // The specification's algorithm makes an empty list a user message without text.
  if (given.length === 0) return { messages: [{ role: 'user', content: '' }], isPrefix: false }
  const messages = given.flatMap(({ role, content, prefix }, index) => {
    if (prefix && (role !== 'assistant' || index < given.length - 1)) {
      throw createException('SyntaxError', 'Only a last message of the assistant can have "prefix: true".')
    }
    if (role === 'system' && index > 0) {
      throw new TypeError('A system prompt must be the first message of the session.')
    }
    return writeMessage(role, content, expectedTypes)
  })
  return { messages, isPrefix: given.at(-1)!.prefix }
}

interface GivenMessage {
  readonly role: LanguageModelMessageRole
  readonly content: readonly GivenContent[]
  readonly prefix: boolean
}

interface GivenContent {
  readonly type: LanguageModelMessageType
  readonly value: unknown
}

function readMessage(message: unknown): GivenMessage {
  const { role, content, prefix } = readDictionary(message, 'A message')
  if (!roles.includes(role)) throw new TypeError('The role of a message must be system, user or assistant.')
  if (content === undefined) throw new TypeError('A message needs "content".')
  const parts = isIterable(content)
    ? [...content].map(readContent)
    : [{ type: 'text', value: toText(content) } as const]
  // The check above is the reason of the cast.
  return { role: role as LanguageModelMessageRole, content: parts, prefix: Boolean(prefix) }
}

function readContent(content: unknown): GivenContent {
  const { type, value } = readDictionary(content, 'A part of a content')
  if (!types.includes(type)) throw new TypeError(`The type of a content must be one of ${types.join(', ')}.`)
  if (value === undefined) throw new TypeError('A part of a content needs "value".')
  return { type: type as LanguageModelMessageType, value }
}

function readDictionary(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  throw new TypeError(`${what} must be an object.`)
}

/** Returns the messages for the engine: the results of tools have a role of their own there. */
function writeMessage(
  role: LanguageModelMessageRole,
  content: readonly GivenContent[],
  expectedTypes: ReadonlySet<LanguageModelMessageType>,
): readonly ChatMessage[] {
  const texts: string[] = []
  const calls: MessageToolCall[] = []
  const results: ChatMessage[] = []
  for (const { type, value } of content) {
    if (role === 'assistant' && (type === 'image' || type === 'audio')) {
      throw createException('NotSupportedError', `A message of the assistant cannot contain ${type}.`)
    }
    if (type === 'text') {
      if (typeof value !== 'string') throw new TypeError('The value of a text must be a string.')
      texts.push(value)
    } else if (type === 'tool-call') {
      if (role !== 'assistant') throw new TypeError('Only messages of the assistant can contain tool calls.')
      if (!(value instanceof LanguageModelToolCall)) {
        throw new TypeError('The value of a tool call must be a LanguageModelToolCall.')
      }
      requireType(type, expectedTypes)
      calls.push(writeCall(value))
    } else if (type === 'tool-response') {
      if (role !== 'user') throw new TypeError('Only messages of the user can contain results of tools.')
      requireType(type, expectedTypes)
      results.push({ role: 'tool', tool_call_id: readCallId(value), content: writeResult(value) })
    } else {
      throw createException(
        'NotSupportedError',
        `This model reads only text, so a message cannot contain ${type}.`,
      )
    }
  }
  const text = texts.join('')
  if (role === 'assistant') {
    return [{ role, content: text, ...(calls.length > 0 && { tool_calls: calls }) }]
  }
  const isSilent = texts.length === 0 && results.length > 0
  return isSilent ? results : [...results, { role, content: text }]
}

function requireType(
  type: LanguageModelMessageType,
  expectedTypes: ReadonlySet<LanguageModelMessageType>,
): void {
  if (expectedTypes.has(type)) return
  throw createException('NotSupportedError', `Add { type: "${type}" } to "expectedInputs" of create().`)
}

function writeCall({ callId, name, arguments: input }: LanguageModelToolCall): MessageToolCall {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw createException('DataError', 'The arguments of a tool call must be an object.')
  }
  return { id: callId, type: 'function', function: { name, arguments: toJson(input) } }
}

function readCallId(value: unknown): string {
  if (value instanceof LanguageModelToolSuccess || value instanceof LanguageModelToolError)
    return value.callId
  throw new TypeError(
    'The value of a tool response must be a LanguageModelToolSuccess or a LanguageModelToolError.',
  )
}

/** Writes what the model reads of a result. */
function writeResult(value: unknown): string {
  if (value instanceof LanguageModelToolError) return `Error: ${value.errorMessage}`
  const { result } = value as LanguageModelToolSuccess
  return result
    .map(({ type, value: part }) => {
      if (type === 'image' || type === 'audio') {
        throw createException('NotSupportedError', `The result of a tool cannot contain ${type}.`)
      }
      return typeof part === 'string' ? part : toJson(part)
    })
    .join('\n')
}

/** Writes a value as JSON. @throws `DataError` if it is no value of JSON */
function toJson(value: unknown): string {
  try {
    const isPlain = typeof value !== 'object' || value === null || isJsonObject(value)
    const text = isPlain ? JSON.stringify(value) : undefined
    if (text !== undefined) return text
  } catch (error) {
    throw createException('DataError', 'A value of a tool cannot be written as JSON.', error)
  }
  throw createException('DataError', 'A value of a tool must be a value of JSON.')
}

/** False for objects of the platform, such as an `ImageBitmap`, which JSON would write as `{}`. */
function isJsonObject(value: object): boolean {
  return ['Object', 'Array'].includes(Object.prototype.toString.call(value).slice(8, -1))
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

/** Converts to a string as Web IDL does: a symbol is a TypeError. */
function toText(value: unknown): string {
  return `${value as string}`
}
