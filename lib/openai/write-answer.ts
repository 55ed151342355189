import type { AnswerEnd, TokenChunk, TokenLogprob, TokenLogprobs } from '../contract/worker-api.js'
import type { GenerationResult } from '../generation.js'
import type { Usage } from '../generation-tally.js'

/** The values that all objects of one answer share. */
export interface AnswerHead {
  readonly id: string
  readonly isChat: boolean
  readonly model: string
  /** Unix time in seconds. */
  readonly created: number
  /** True if every chunk has `usage: null`, and an extra last chunk has the usage. */
  readonly includesUsage: boolean
}

/** The answer to one prompt, as a whole. */
export interface WholeChoice {
  readonly result: Pick<GenerationResult, 'text' | 'reasoning' | 'toolCalls' | 'usage'>
  readonly end: AnswerEnd
  readonly logprobs: readonly TokenLogprobs[]
  /** The length of a completion's prompt in characters: OpenAI counts the offsets of tokens from the prompt's start. */
  readonly promptLength: number
}

/** OpenAI's finish reasons. */
const finishReasons = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
} as const satisfies Record<AnswerEnd, string>

/**
 * Creates the functions that write the objects of one answer in OpenAI's format ("The chat completion chunk object", "The
 * completion object"). Reasoning is in `reasoning_content`, DeepSeek's and llama.cpp's field.
 */
export function createAnswerWriter({ id, isChat, model, created, includesUsage }: AnswerHead) {
  const chunkObject = isChat ? 'chat.completion.chunk' : 'text_completion'
  const head = { id, object: chunkObject, created, model }
  const noUsage = includesUsage ? { usage: null } : {}
  const writeChunk = (
    index: number,
    chunk: Partial<TokenChunk>,
    end: AnswerEnd | null,
    logprobs: object | null,
  ) => {
    const finish = { logprobs, finish_reason: end && finishReasons[end] }
    const choice = isChat
      ? { index, delta: writeDelta(chunk), ...finish }
      : { index, text: chunk.text ?? '', ...finish }
    return { ...head, choices: [choice], ...noUsage }
  }

  return {
    /** Returns the first chunk of an answer in a chat; undefined for a completion, which starts with its text. */
    start: (index: number) =>
      isChat
        ? {
            ...head,
            choices: [
              { index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
            ],
            ...noUsage,
          }
        : undefined,
    /** @param offset where the chunk's text starts, in characters from the start of a completion's prompt */
    write: (chunk: TokenChunk, index: number, offset: number) =>
      writeChunk(index, chunk, null, writeLogprobs(chunk.logprobs ?? [], isChat, offset)),
    end: (end: AnswerEnd, index: number) => writeChunk(index, {}, end, null),
    writeUsageChunk: (usage: Usage) => ({ ...head, choices: [], usage: writeUsage(usage) }),
    /** Returns the whole answer as one object. */
    writeWhole(choices: readonly WholeChoice[], answersPerPrompt = 1) {
      const usage = addUsages(
        choices.map(({ result }) => result.usage),
        answersPerPrompt,
      )
      const object = isChat ? 'chat.completion' : 'text_completion'
      const written = choices.map(({ result, end, logprobs, promptLength }, index) => {
        const content = isChat ? { message: writeMessage(result) } : { text: result.text }
        const list = writeLogprobs(logprobs, isChat, promptLength)
        return { index, ...content, logprobs: list, finish_reason: finishReasons[end] }
      })
      return { id, object, created, model, choices: written, usage: writeUsage(usage) }
    },
  }
}

/** Adds the usages of several answers. The tokens of a prompt count once, as in OpenAI's API: those of its first answer. */
export function addUsages(usages: readonly Usage[], answersPerPrompt: number): Usage {
  const add = (list: readonly Usage[], read: (usage: Usage) => number) =>
    list.reduce((total, usage) => total + read(usage), 0)
  const sum = (read: (usage: Usage) => number) => add(usages, read)
  const first = usages.filter((_, index) => index % answersPerPrompt === 0)
  return {
    promptTokens: add(first, ({ promptTokens }) => promptTokens),
    cachedPromptTokens: add(first, ({ cachedPromptTokens }) => cachedPromptTokens),
    completionTokens: sum(({ completionTokens }) => completionTokens),
    reasoningTokens: sum(({ reasoningTokens = 0 }) => reasoningTokens),
  }
}

function writeDelta({ text = '', reasoning = '', toolCalls = [] }: Partial<TokenChunk>) {
  const calls = toolCalls.map(({ index, id, name, argumentsDelta }) => ({
    index,
    ...(id !== undefined && { id, type: 'function' }),
    function: { ...(name !== undefined && { name }), arguments: argumentsDelta },
  }))
  return {
    ...(text !== '' && { content: text }),
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function writeMessage({ text, reasoning, toolCalls }: WholeChoice['result']) {
  const calls = toolCalls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  }))
  return {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function writeUsage({ promptTokens, cachedPromptTokens, completionTokens, reasoningTokens = 0 }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  }
}

function writeLogprobs(tokens: readonly TokenLogprobs[], isChat: boolean, offset: number): object | null {
  if (tokens.length === 0) return null
  return isChat
    ? { content: tokens.map(writeTokenLogprobs), refusal: null }
    : writeLegacyLogprobs(tokens, offset)
}

/** Writes log-probabilities in the format of completions: one list for each fact. */
function writeLegacyLogprobs(tokens: readonly TokenLogprobs[], offset: number) {
  let end = offset
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ text, logprob }) => [text, logprob])),
    ),
    text_offset: tokens.map(({ text }) => {
      const start = end
      end += text.length
      return start
    }),
  }
}

const encoder = new TextEncoder()

/** Writes a token. OpenAI's API allows null for the bytes: those of a part of a character that the runtime does not report. */
function writeTokenLogprob({ text, bytes, logprob }: TokenLogprob) {
  return {
    token: text,
    logprob,
    bytes: bytes ?? (text.includes('\uFFFD') ? null : [...encoder.encode(text)]),
  }
}

function writeTokenLogprobs({ top, ...chosen }: TokenLogprobs) {
  return { ...writeTokenLogprob(chosen), top_logprobs: top.map(writeTokenLogprob) }
}
