import { RivuletError } from '../../lib/contract/errors.js'
import { asObject, asText, isObject, type Json } from './server-failure.js'

/** A part of a tool call, as a server sent it. */
export interface SentToolCall {
  readonly index: number | undefined
  readonly id: string
  readonly name: string
  readonly argumentsDelta: string
}

/** What a chunk of an answer contains. Only the choice with index 0 is read: more are never requested. */
export interface ReadChunk {
  readonly text: string
  readonly reasoning: string
  readonly toolCalls: readonly SentToolCall[]
  /** True if the content is in `message` and not in `delta`: some servers repeat the whole answer there. */
  readonly isMessage: boolean
  /** Undefined if the choice has no field for it; empty while the answer continues. */
  readonly finishReason: string | undefined
  /** True if the chunk is about the answer: it has a list of choices, or usage. */
  readonly isAnswer: boolean
  readonly usage: SentUsage | undefined
  readonly timings: SentTimings | undefined
}

/** The server's token counts. A count that is missing or invalid is undefined. */
export interface SentUsage {
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
  readonly cachedPromptTokens: number | undefined
  readonly reasoningTokens: number | undefined
}

/** The durations that llama.cpp's and dasLLAMA's servers report, each under its own names. OpenAI's API has none. */
export interface SentTimings {
  readonly prefillMs: number
  readonly decodeMs: number
}

/**
 * Reads a chunk, or a whole answer, of a chat or a completion: OpenAI's fields, and the fields that servers add or use
 * instead.
 * @throws RivuletError `generation-failed` for content that no channel can carry, such as images
 */
export function readChunk(value: Json): ReadChunk {
  const { choices } = value
  const list: readonly unknown[] = Array.isArray(choices) ? choices : []
  const choice = list.find((each): each is Json => isObject(each) && Number(each.index ?? 0) === 0)
  const content = isObject(choice?.delta) ? choice.delta : choice?.message
  const usage = readUsage(value.usage) ?? readUsage(choice?.usage) ?? readUsage(asObject(value.x_groq).usage)
  return {
    ...readContent(asObject(content), choice),
    isMessage: !isObject(choice?.delta) && isObject(choice?.message),
    finishReason: readFinishReason(list),
    isAnswer: choices !== undefined || usage !== undefined,
    usage,
    timings: readTimings(asObject(value.timings)),
  }
}

function readContent(content: Json, choice: Json | undefined) {
  const parts = readParts(content.content)
  for (const name of ['audio', 'images', 'image']) if (hasContent(content[name])) refuseContent(name)
  // Several servers send the same reasoning under two of these names.
  const reasoning =
    asText(content.reasoning_content) ||
    readReasoning(content.reasoning) ||
    readReasoning(content.thinking) ||
    readReasoning(content.reasoning_details)
  const calls: readonly unknown[] = Array.isArray(content.tool_calls) ? content.tool_calls : []
  const legacy = isObject(content.function_call) ? [{ index: 0, function: content.function_call }] : []
  return {
    text: parts.text + asText(content.refusal) || asText(choice?.text),
    reasoning: parts.reasoning + reasoning,
    toolCalls: [...calls, ...legacy].filter(isObject).map(readToolCall),
  }
}

/** True for a value that contains something: not null, and not an empty list. */
function hasContent(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0)
}

/** The types of content parts, by the channel that they belong to. Mistral's citations refer to text and have none. */
const partTypes = {
  text: ['text', 'output_text', 'text_delta'],
  reasoning: [
    'thinking',
    'reasoning',
    'reasoning_text',
    'reasoning.text',
    'reasoning.summary',
    'summary_text',
  ],
  refusal: ['refusal'],
  empty: ['reference', 'tool_reference', 'redacted_thinking', 'reasoning.encrypted'],
} as const satisfies Record<string, readonly string[]>

/** Reads content: a text, a part, or a list of parts. A refusal is text, because it is what the model tells the user. */
function readParts(content: unknown): { readonly text: string; readonly reasoning: string } {
  if (typeof content === 'string') return { text: content, reasoning: '' }
  const list: readonly unknown[] = Array.isArray(content) ? content : [content]
  const parts = list.map((part) => {
    if (typeof part === 'string') return { text: part, reasoning: '' }
    if (!isObject(part)) return { text: '', reasoning: '' }
    const type = asText(part.type) || 'text'
    const has = (types: readonly string[]) => types.includes(type)
    if (has(partTypes.reasoning)) return { text: '', reasoning: readReasoning(part) }
    if (has(partTypes.text) || has(partTypes.refusal)) {
      return { text: asText(part.text) + asText(part.refusal), reasoning: '' }
    }
    return has(partTypes.empty) ? { text: '', reasoning: '' } : refuseContent(type)
  })
  return {
    text: parts.map(({ text }) => text).join(''),
    reasoning: parts.map(({ reasoning }) => reasoning).join(''),
  }
}

/** Reads reasoning: a text, a part with a text under one of several names, or a list of them. */
function readReasoning(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(readReasoning).join('')
  if (!isObject(value)) return ''
  const { text, thinking, reasoning, content, summary } = value
  return [text, thinking, reasoning, content, summary].map(readReasoning).find((words) => words !== '') ?? ''
}

function refuseContent(type: string): never {
  throw new RivuletError(
    'generation-failed',
    `The server sent content of the type "${type}", which a stream of text cannot carry. Use a model that answers in text.`,
  )
}

function readToolCall(call: Json): SentToolCall {
  const index = Number(call.index ?? NaN)
  // `custom` is OpenAI's tool with free text in place of JSON.
  const { name, arguments: sent, input } = { ...asObject(call.custom), ...asObject(call.function) } as Json
  const words = sent ?? input ?? ''
  return {
    index: Number.isInteger(index) ? index : undefined,
    id: asText(call.id),
    name: asText(name),
    argumentsDelta: typeof words === 'string' ? words : JSON.stringify(words),
  }
}

/**
 * Returns the finish reason of choice 0. If only other choices have the field, returns an empty reason: the server reports
 * finish reasons, so a missing one means that the answer is not finished.
 */
function readFinishReason(choices: readonly unknown[]): string | undefined {
  const withField = choices.filter((choice): choice is Json => isObject(choice) && 'finish_reason' in choice)
  const ours = withField.find(({ index = 0 }) => Number(index) === 0)
  const reason = asText(ours?.finish_reason)
  return withField.length === 0 ? undefined : reason === 'null' ? '' : reason
}

/** Reads token counts under the names of chat completions or of the Responses API. @returns undefined if there are none */
export function readUsage(usage: unknown): SentUsage | undefined {
  if (!isObject(usage)) return undefined
  const promptTokens = readCount(usage.prompt_tokens ?? usage.input_tokens)
  const total = readCount(usage.total_tokens)
  const rest = total === undefined || promptTokens === undefined ? undefined : total - promptTokens
  const promptDetails = asObject(usage.prompt_tokens_details ?? usage.input_tokens_details)
  const completionDetails = asObject(usage.completion_tokens_details ?? usage.output_tokens_details)
  return {
    promptTokens,
    completionTokens: readCount(usage.completion_tokens ?? usage.output_tokens ?? rest),
    // DeepSeek has its own name.
    cachedPromptTokens: readCount(promptDetails.cached_tokens ?? usage.prompt_cache_hit_tokens),
    reasoningTokens: readCount(completionDetails.reasoning_tokens),
  }
}

function readCount(value: unknown): number | undefined {
  const count = typeof value === 'string' ? Number(value) : value
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined
}

/** Reads the times of llama.cpp's and dasLLAMA's servers. @returns undefined if there are none */
export function readTimings({
  prompt_ms,
  predicted_ms,
  ttft_ms = prompt_ms,
  gen_ms = predicted_ms,
}: Json): SentTimings | undefined {
  if (typeof ttft_ms !== 'number' || typeof gen_ms !== 'number') return undefined
  return { prefillMs: ttft_ms, decodeMs: gen_ms }
}
