import { refuse as refuseOption } from '../contract/check-options.js'
import { describeOption, optionNames, type OptionName } from '../contract/option-table.js'
import type { ChatMessage, GenerateOptions, Prompt } from '../contract/request.js'
import { answerFields, readAnswerOptions } from './read-answer-options.js'

/** A request of OpenAI's API, converted to the prompt and the options of this library. */
export interface ReadRequest {
  readonly isChat: boolean
  readonly model: string
  /** The conversation of a chat; one or more texts of a completion, which are answered in order. */
  readonly prompts: readonly [Prompt, ...Prompt[]]
  readonly options: Omit<GenerateOptions, 'signal'>
  /** The number of answers to each prompt. */
  readonly count: number
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

/** The options that `readAnswerOptions` reads. */
const answerOptions = new Set<OptionName>([
  'responseFormat',
  'tools',
  'toolChoice',
  'parallelToolCalls',
  'reasoning',
])

/** The options whose fields have the same values. `readLogprobs` and `readAnswerOptions` read the others. */
const sentOptions = optionNames.filter((name) => name !== 'topLogprobs' && !answerOptions.has(name))

/** The fields that set an option of the option table. Their names come from OpenAI or vLLM. */
const optionFields = [...sentOptions, 'topLogprobs' as const].flatMap((name) => describeOption(name).openAi)

/** Fields that are read, but are not in the option table. */
const readFields = [
  'model',
  'n',
  'messages',
  'prompt',
  'stream',
  'stream_options',
  'logprobs',
  'continue_final_message',
  'add_generation_prompt',
  'response_format',
] as const

const isEmptyList = (value: unknown) => Array.isArray(value) && value.length === 0
const isOneOf =
  (...values: readonly unknown[]) =>
  (value: unknown) =>
    values.includes(value)

/** Fields that are accepted with the values that demand nothing. Any other value is refused. */
const neutralFields: Readonly<Record<string, (value: unknown, fields: Json) => boolean>> = {
  // In a chat, `readAnswerOptions` reads these four.
  tools: (value, { tool_choice: choice }) => isEmptyList(value) || choice === 'none',
  tool_choice: isOneOf('none', 'auto'),
  parallel_tool_calls: isOneOf(true, false),
  reasoning_effort: isOneOf('none'),
  functions: isEmptyList,
  function_call: isOneOf('none', 'auto'),
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  verbosity: isOneOf('medium'),
  best_of: (value, { n = 1 }) => value === n,
  echo: isOneOf(false),
  suffix: isOneOf(''),
}

const knownFields = new Set<string>([...silentFields, ...optionFields, ...readFields])
const chatFields = new Set<string>(answerFields)

/**
 * Reads the body of `/v1/chat/completions` or `/v1/completions`. An unsupported field causes an error that names it. As
 * in OpenAI's API, null means the same as a missing field.
 * @throws RivuletError `invalid-option`; its message starts with the field's name, which is also in `details.option`
 */
export function readRequest(body: unknown, isChat: boolean): ReadRequest {
  const sent = asObject(body)
  const fields: Json = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== null))
  for (const [name, value] of Object.entries(fields)) {
    const isNeutral = Object.hasOwn(neutralFields, name) ? neutralFields[name] : undefined
    if (knownFields.has(name) || (isChat && chatFields.has(name)) || isNeutral?.(value, fields)) continue
    const how = isNeutral ? ' with this value' : ''
    refuse(name, `is not supported${how} by the model in this page. Leave it out.`)
  }
  const { stream = false, model } = fields
  if (typeof model !== 'string') refuse('model', 'must be a string.')
  if (typeof stream !== 'boolean') refuse('stream', 'must be true or false.')
  return {
    isChat,
    model,
    prompts: isChat ? [readMessages(fields.messages)] : readPrompts(fields.prompt),
    options: { ...readOptions(fields, isChat), ...(!isChat && { applyChatTemplate: false }) },
    count: readCount(fields.n),
    isStream: stream,
    includesUsage: readIncludesUsage(fields.stream_options),
  }
}

/** The most answers to one prompt. */
const mostAnswers = 16

function readCount(count: unknown = 1): number {
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= mostAnswers) return count
  return refuse('n', `must be an integer from 1 to ${mostAnswers}.`)
}

function readOptions(fields: Json, isChat: boolean): Omit<GenerateOptions, 'signal'> {
  const options = sentOptions.flatMap((name) => {
    const sent = describeOption(name).openAi.filter((field) => fields[field] !== undefined)
    if (sent.length > 1) refuse(sent[0]!, `cannot be sent together with "${sent[1]}".`)
    return sent.map((field) => [name, fields[field]] as const)
  })
  const continueFinalMessage = readContinueFinalMessage(fields, isChat)
  // `engine.generate` checks the values of the options.
  return {
    ...adaptRanges(Object.fromEntries(options)),
    ...readLogprobs(fields, isChat),
    ...readAnswerOptions(isChat ? fields : { response_format: fields.response_format }),
    ...(continueFinalMessage && { continueFinalMessage }),
  }
}

/** OpenAI's `top_p: 0` means the most likely token. Every distribution has a token with this probability. */
const smallestTopP = 1e-6

/** Converts values that OpenAI accepts, and that this library does not: `top_p: 0`, and seeds of 64 bits. */
function adaptRanges({ topP, seed, ...options }: Json): Json {
  const isLongSeed = typeof seed === 'number' && Number.isInteger(seed) && Math.abs(seed) < 2 ** 64
  return {
    ...options,
    ...(topP !== undefined && { topP: topP === 0 ? smallestTopP : topP }),
    ...(seed !== undefined && { seed: isLongSeed ? Number(BigInt.asUintN(32, BigInt(seed))) : seed }),
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
 * Reads whether, and how many, log-probabilities are requested. A chat has the flag `logprobs` and the number of alternatives
 * in `top_logprobs`; a completion has the number in `logprobs`.
 */
function readLogprobs({ logprobs, top_logprobs: count }: Json, isChat: boolean): { topLogprobs?: number } {
  if (!isChat) {
    if (count !== undefined && count !== 0) refuse('top_logprobs', 'is only supported for chat completions.')
    if (logprobs === undefined || logprobs === false) return {}
    // `engine.generate` checks the number.
    return { topLogprobs: logprobs as number }
  }
  if (logprobs !== undefined && typeof logprobs !== 'boolean') refuse('logprobs', 'must be true or false.')
  if (logprobs) return { topLogprobs: (count ?? 0) as number }
  if (count !== undefined && count !== 0) refuse('top_logprobs', 'needs "logprobs": true.')
  return {}
}

function readIncludesUsage(options: unknown): boolean {
  return options !== undefined && asObject(options, 'stream_options').include_usage === true
}

function readMessages(messages: unknown): readonly ChatMessage[] {
  if (!Array.isArray(messages)) return refuse('messages', 'must be an array.')
  return messages.map((message: unknown, index) => {
    const fields = asObject(message, `messages[${index}]`)
    const { role, content, tool_calls, reasoning_content, tool_call_id, function_call: call } = fields
    if (isPresent(call)) refuse(`messages[${index}].function_call`, 'is not supported. Use "tool_calls".')
    // `developer` is OpenAI's newer name for `system`.
    const knownRole = role === 'developer' ? 'system' : role
    // OpenAI's answers have null, or nothing, where they call a tool.
    const isSilent = role === 'assistant' && !isPresent(content)
    // `engine.generate` checks the role and the other fields.
    return {
      role: knownRole,
      content: isSilent ? '' : readContent(content, index),
      ...(isPresent(reasoning_content) && { reasoning_content }),
      ...(isPresent(tool_calls) && !isEmptyList(tool_calls) && { tool_calls }),
      ...(isPresent(tool_call_id) && { tool_call_id }),
    } as ChatMessage
  })
}

const isPresent = (value: unknown) => value !== undefined && value !== null

/** Reads the content of a message: a text, or a list of text parts, which are joined. */
function readContent(content: unknown, index: number): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return refuse(`messages[${index}].content`, 'must be text.')
  return content
    .map((part: unknown) => {
      const { type, text, refusal } = asObject(part, `messages[${index}].content`)
      if (type === 'text' && typeof text === 'string') return text
      if (type === 'refusal' && typeof refusal === 'string') return refusal
      return refuse(`messages[${index}].content`, 'must be text. The model in this page reads only text.')
    })
    .join('')
}

function readPrompts(prompt: unknown): readonly [string, ...string[]] {
  const [first, ...others]: readonly unknown[] = Array.isArray(prompt) ? prompt : [prompt]
  return [readText(first), ...others.map(readText)]
}

function readText(prompt: unknown): string {
  return typeof prompt === 'string' ? prompt : refuse('prompt', 'must be a string or a list of strings.')
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
