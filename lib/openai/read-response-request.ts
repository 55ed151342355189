import { refuse as refuseOption } from '../contract/check-options.js'
import { RivuletError } from '../contract/errors.js'
import { readRequest, type ReadRequest } from './read-request.js'

type Json = Readonly<Record<string, unknown>>

/** A request of OpenAI's Responses API. */
export interface ReadResponseRequest extends ReadRequest {
  /** What the response repeats from its request. */
  readonly echo: Json
  /** The same request as the body of a chat completion. */
  readonly chat: Json
}

/** The fields of chat completions that mean the same as fields of the Responses API, by their names there. */
const chatNames: Readonly<Record<string, string>> = { max_output_tokens: 'max_completion_tokens' }

/** Fields with the values that demand nothing. The API is stateless here: nothing is stored, and nothing runs later. */
const neutralValues: Readonly<Record<string, readonly unknown[]>> = {
  background: [false],
  previous_response_id: [],
  conversation: [],
  prompt: [],
  truncation: ['disabled', 'auto'],
}

/**
 * Reads the body of `/v1/responses`.
 * @throws RivuletError `invalid-option`, which names the field of the Responses API
 */
export function readResponseRequest(body: unknown): ReadResponseRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    refuseOption('The request body must be a JSON object.')
  }
  const sent = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)) as Json
  const { input, instructions, text, reasoning, include, max_tool_calls: _, ...others } = sent
  for (const [name, values] of Object.entries(neutralValues)) {
    if (others[name] !== undefined && !values.includes(others[name])) {
      refuse(name, 'is not supported with this value by the model in this page. Leave it out.')
    }
  }
  if (include !== undefined && !(Array.isArray(include) && include.length === 0)) {
    refuse('include', 'must be an empty list.')
  }
  if (instructions !== undefined && typeof instructions !== 'string')
    refuse('instructions', 'must be a string.')
  const fields = Object.entries(others).filter(([name]) => !Object.hasOwn(neutralValues, name))
  const chat = {
    ...Object.fromEntries(fields.map(([name, value]) => [chatNames[name] ?? name, value])),
    ...readText(text),
    ...readReasoning(reasoning),
    messages: readInput(input),
  }
  const { prompts, ...read } = renameErrors(() => readRequest(chat, true))
  const [messages] = prompts
  const system = instructions === undefined ? [] : [{ role: 'system', content: instructions } as const]
  const prompt = typeof messages === 'string' ? messages : [...system, ...messages]
  return { ...read, prompts: [prompt], echo: repeat(sent), chat }
}

function readText(text: unknown = {}): Json {
  const { format, verbosity, ...others } = asObject(text, 'text')
  refuseRest(others, 'text')
  return { response_format: format ?? null, verbosity: verbosity ?? null }
}

function readReasoning(reasoning: unknown = {}): Json {
  const { effort, summary: _, ...others } = asObject(reasoning, 'reasoning')
  refuseRest(others, 'reasoning')
  return { reasoning_effort: effort ?? null }
}

function refuseRest(others: Json, name: string): void {
  const [first] = Object.keys(others)
  if (first !== undefined)
    refuse(`${name}.${first}`, 'is not supported by the model in this page. Leave it out.')
}

const inputRoles = new Set<unknown>(['user', 'assistant', 'system', 'developer'])

/** Converts the input to chat messages: a text of the user, or a list of items. Reasoning of earlier answers is left out. */
function readInput(input: unknown): unknown {
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  if (!Array.isArray(input)) return refuse('input', 'must be a string or a list of items.')
  return input.flatMap((item: unknown, index) => {
    const name = `input[${index}]`
    const { type = 'message', role, content } = asObject(item, name)
    if (type === 'reasoning') return []
    if (type !== 'message')
      return refuse(`${name}.type`, 'must be "message": the model in this page has no tools.')
    if (!inputRoles.has(role)) refuse(`${name}.role`, 'must be "user", "assistant", "system" or "developer".')
    const parts = Array.isArray(content)
      ? content.map((part: unknown) => readPart(part, `${name}.content`))
      : content
    return [{ role, content: parts }]
  })
}

/** Converts a part to the part of a chat message. */
function readPart(part: unknown, name: string): unknown {
  const { type, ...others } = asObject(part, name)
  const isText = type === 'input_text' || type === 'output_text'
  return isText ? { type: 'text', text: others.text } : { type, ...others }
}

const repeatedFields = [
  'instructions',
  'max_output_tokens',
  'metadata',
  'parallel_tool_calls',
  'temperature',
  'tool_choice',
  'top_p',
  'user',
] as const

function repeat(sent: Json): Json {
  const names = repeatedFields.filter((name) => sent[name] !== undefined)
  return Object.fromEntries(names.map((name) => [name, sent[name]]))
}

/** The fields of the Responses API for the fields of chat completions. */
const responseNames: readonly (readonly [RegExp, string])[] = [
  [/\bmax_completion_tokens\b/g, 'max_output_tokens'],
  [/\bresponse_format\b/g, 'text.format'],
  [/\bverbosity\b/g, 'text.verbosity'],
  [/\breasoning_effort\b/g, 'reasoning.effort'],
  [/\bmessages\b/g, 'input'],
]

/** Returns an `invalid-option` error under the names of the Responses API. Any other error is returned unchanged. */
export function nameAsResponseField(error: unknown): unknown {
  if (!(error instanceof RivuletError) || error.code !== 'invalid-option') return error
  const rename = (words: string) =>
    responseNames.reduce((renamed, [name, field]) => renamed.replace(name, field), words)
  const { option } = error.details
  const details = option === undefined ? {} : { option: rename(option) }
  return new RivuletError('invalid-option', rename(error.message), { cause: error, details })
}

function renameErrors<Result>(read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    throw nameAsResponseField(error)
  }
}

function asObject(value: unknown, name: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  return refuse(name, 'must be an object.')
}

function refuse(name: string, why: string): never {
  refuseOption(`"${name}" ${why}`, name)
}
