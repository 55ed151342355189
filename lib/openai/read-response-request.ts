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
  // The Responses API has no such field.
  n: [1],
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
  const {
    input,
    instructions,
    text,
    reasoning,
    include,
    tools,
    tool_choice,
    max_tool_calls: _,
    ...others
  } = sent
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
    ...(tools !== undefined && { tools: readTools(tools) }),
    ...(tool_choice !== undefined && { tool_choice: readToolChoice(tool_choice) }),
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
  return { response_format: readFormat(format), verbosity: verbosity ?? null }
}

/** Converts `text.format` to `response_format`, which has the fields of a schema in an object of their own. */
function readFormat(format: unknown): unknown {
  if (format === undefined || format === null) return null
  const { type, ...json_schema } = asObject(format, 'text.format')
  return type === 'json_schema' ? { type, json_schema } : format
}

/** Converts tools to those of chat completions. Only functions are tools here: nothing runs on a server. */
function readTools(tools: unknown): unknown {
  if (!Array.isArray(tools)) return refuse('tools', 'must be a list.')
  return tools.map((tool: unknown, index) => {
    const { type, ...called } = asObject(tool, `tools[${index}]`)
    if (type === 'function') return { type, function: called }
    return refuse(
      'tools',
      'must contain only tools of the type "function". The model in this page has no others.',
    )
  })
}

function readToolChoice(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null) return choice
  const { type, name } = choice as Json
  return { type, function: { name } }
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

/** A chat message that is put together from items. */
interface JoinedMessage {
  readonly role: unknown
  content: unknown
  reasoning_content?: string
  tool_calls?: object[]
  readonly tool_call_id?: string
}

/**
 * Converts the input to chat messages: a text of the user, or a list of items. The items of one answer (reasoning, a message,
 * function calls) are one message.
 */
function readInput(input: unknown): unknown {
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  if (!Array.isArray(input)) return refuse('input', 'must be a string or a list of items.')
  const messages: JoinedMessage[] = []
  const callIds = new Set<unknown>()
  /** Returns the answer that the next item belongs to. An answer has one text, and its calls come after it. */
  const joinAnswer = (canJoin: (answer: JoinedMessage) => boolean) => {
    const last = messages.at(-1)
    if (last?.role === 'assistant' && canJoin(last)) return last
    const answer: JoinedMessage = { role: 'assistant', content: null }
    messages.push(answer)
    return answer
  }
  for (const [index, item] of (input as readonly unknown[]).entries()) {
    const name = `input[${index}]`
    const { type = 'message', role, content, call_id, ...fields } = asObject(item, name)
    if (type === 'reasoning') {
      const text = readReasoningText(content)
      if (text !== '') joinAnswer(() => false).reasoning_content = text
    } else if (type === 'function_call') {
      const answer = joinAnswer(() => true)
      callIds.add(call_id)
      answer.tool_calls ??= []
      answer.tool_calls.push({
        id: call_id,
        type: 'function',
        function: { name: fields.name, arguments: fields.arguments },
      })
    } else if (type === 'function_call_output') {
      if (!callIds.has(call_id))
        refuse(`${name}.call_id`, 'must be that of a function call in an earlier item.')
      messages.push({
        role: 'tool',
        content: readParts(fields.output, `${name}.output`),
        tool_call_id: String(call_id),
      })
    } else if (type !== 'message') {
      refuse(`${name}.type`, 'must be "message", "reasoning", "function_call" or "function_call_output".')
    } else if (!inputRoles.has(role)) {
      refuse(`${name}.role`, 'must be "user", "assistant", "system" or "developer".')
    } else {
      const parts = readParts(content, `${name}.content`)
      if (role !== 'assistant') messages.push({ role, content: parts })
      else joinAnswer((answer) => answer.content === null && !answer.tool_calls).content = parts
    }
  }
  return messages
}

function readParts(content: unknown, name: string): unknown {
  return Array.isArray(content) ? content.map((part: unknown) => readPart(part, name)) : content
}

/** Returns the text of an item of reasoning. Summaries are not for the model. */
function readReasoningText(content: unknown): string {
  const parts: readonly unknown[] = Array.isArray(content) ? content : []
  return parts.map((part) => String((part as Json | null)?.text ?? '')).join('')
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
  'reasoning',
  'temperature',
  'text',
  'tool_choice',
  'top_p',
  'user',
] as const

function repeat(sent: Json): Json {
  const names = repeatedFields.filter((name) => sent[name] !== undefined)
  return {
    ...Object.fromEntries(names.map((name) => [name, sent[name]])),
    ...(Array.isArray(sent.tools) && { tools: sent.tools.map(repeatTool) }),
  }
}

/** Returns a tool with all fields of OpenAI's type. */
const repeatTool = (tool: object) => ({ parameters: null, strict: true, ...tool })

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
