import { refuse as refuseOption } from '../contract/check-options.js'
import { describeOption, optionNames } from '../contract/option-table.js'
import type { ChatMessage, GenerateOptions, Prompt } from '../contract/request.js'

/** A request of OpenAI's API, converted to the prompt and the options of this library. */
export interface ReadRequest {
  readonly isChat: boolean
  readonly model: string
  readonly prompt: Prompt
  readonly options: Omit<GenerateOptions, 'signal'>
  readonly isStream: boolean
  readonly includesUsage: boolean
}

type Json = Readonly<Record<string, unknown>>

/** Fields that are accepted and ignored, since they do not change the answer. */
const silentFields = [
  'user',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
] as const

/** The fields that set an option of the option table. Their names come from OpenAI or vLLM. */
const optionFields = optionNames.flatMap((name) => describeOption(name).openAi)

/** Fields that are read, but are not in the option table. */
const readFields = [
  'model',
  'messages',
  'prompt',
  'stream',
  'stream_options',
  'n',
  'logprobs',
  'response_format',
  'continue_final_message',
  'add_generation_prompt',
] as const

const knownFields = new Set<string>([...silentFields, ...optionFields, ...readFields])

/**
 * Reads the body of `/v1/chat/completions` or `/v1/completions`. An unsupported field causes an error that names it. As
 * in OpenAI's API, null means the same as a missing field.
 * @throws RivuletError `invalid-option`; its message starts with the field's name, which is also in `details.option`
 */
export function readRequest(body: unknown, isChat: boolean): ReadRequest {
  const sent = asObject(body)
  const fields: Json = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== null))
  const unknown = Object.keys(fields).find((name) => !knownFields.has(name))
  if (unknown !== undefined) refuse(unknown, 'is not supported by the model in this page. Leave it out.')
  if (fields.n !== undefined && fields.n !== 1) refuse('n', 'must be 1.')
  const format = asObject(fields.response_format ?? { type: 'text' }, 'response_format')
  if (format.type !== 'text') refuse('response_format', 'must be of the type "text".')
  const { stream = false, model } = fields
  if (typeof model !== 'string') refuse('model', 'must be a string.')
  if (typeof stream !== 'boolean') refuse('stream', 'must be true or false.')
  return {
    isChat,
    model,
    prompt: isChat ? readMessages(fields.messages) : readPrompt(fields.prompt),
    options: { ...readOptions(fields, isChat), ...(!isChat && { applyChatTemplate: false }) },
    isStream: stream,
    includesUsage: readIncludesUsage(fields.stream_options, stream),
  }
}

function readOptions(fields: Json, isChat: boolean): Omit<GenerateOptions, 'signal'> {
  const options = optionNames.flatMap((name) => {
    const sent = describeOption(name).openAi.filter((field) => fields[field] !== undefined)
    if (sent.length > 1) refuse(sent[0]!, `cannot be sent together with "${sent[1]}".`)
    return sent.map((field) => [name, fields[field]] as const)
  })
  const asksForLogprobs = readAsksForLogprobs(fields, isChat)
  const continueFinalMessage = readContinueFinalMessage(fields, isChat)
  // `engine.generate` checks the values of the options.
  return {
    ...(asksForLogprobs && { topLogprobs: 0 }),
    ...Object.fromEntries(options),
    ...(continueFinalMessage && { continueFinalMessage }),
  }
}

/**
 * Returns true if the request continues its last message. Reads vLLM's fields `continue_final_message` and
 * `add_generation_prompt` (`ChatCompletionRequest`): exactly one of them must be true.
 */
function readContinueFinalMessage(fields: Json, isChat: boolean): boolean {
  const { continue_final_message: continues = false } = fields
  if (!isChat && 'continue_final_message' in fields) {
    refuse(
      'continue_final_message',
      'is only for chat completions. A completion always continues its prompt.',
    )
  }
  if (typeof continues !== 'boolean') refuse('continue_final_message', 'must be true or false.')
  const { add_generation_prompt: adds = !continues } = fields
  if (adds !== !continues)
    refuse('add_generation_prompt', 'must be false with "continue_final_message": true, and true without it.')
  return continues
}

/**
 * Returns true if the request asks for log probabilities. A chat request has the flag `logprobs`, and the number of
 * alternatives in `top_logprobs`. A completion request would have only a number, which is not supported.
 */
function readAsksForLogprobs({ logprobs = false, top_logprobs: count }: Json, isChat: boolean): boolean {
  if (!isChat && logprobs !== false) refuse('logprobs', 'is only supported for chat completions.')
  if (typeof logprobs !== 'boolean') refuse('logprobs', 'must be true or false.')
  if (!logprobs && count !== undefined) {
    refuse('top_logprobs', isChat ? 'needs "logprobs": true.' : 'is only supported for chat completions.')
  }
  return logprobs
}

function readIncludesUsage(options: unknown, isStream: boolean): boolean {
  if (options === undefined) return false
  if (!isStream) refuse('stream_options', 'needs "stream": true.')
  return asObject(options, 'stream_options').include_usage === true
}

function readMessages(messages: unknown): readonly ChatMessage[] {
  if (!Array.isArray(messages)) return refuse('messages', 'must be an array.')
  return messages.map((message: unknown, index) => {
    const { role, content } = asObject(message, `messages[${index}]`)
    // `developer` is OpenAI's newer name for `system`.
    const knownRole = role === 'developer' ? 'system' : role
    return { role: knownRole as ChatMessage['role'], content: readContent(content, index) }
  })
}

/** Reads the content of a message: a text, or a list of text parts, which are joined. */
function readContent(content: unknown, index: number): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return refuse(`messages[${index}].content`, 'must be text.')
  return content
    .map((part: unknown) => {
      const { type, text } = asObject(part, `messages[${index}].content`)
      if (type === 'text' && typeof text === 'string') return text
      return refuse(`messages[${index}].content`, 'must be text. The model in this page reads only text.')
    })
    .join('')
}

function readPrompt(prompt: unknown): string {
  const single: unknown = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt
  if (typeof single === 'string') return single
  return refuse('prompt', 'must be one string.')
}

/**
 * Returns the value if it is a JSON object. Throws an error if it is not.
 * @param name the name of the field; undefined for the whole body
 */
function asObject(value: unknown, name?: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  if (name === undefined) refuseOption('The request body must be a JSON object.')
  return refuse(name, 'must be an object.')
}

function refuse(name: string, why: string): never {
  refuseOption(`"${name}" ${why}`, name)
}
