import type { AnswerEnd, TokenChunk, TokenLogprob } from '../contract/worker-api.js'
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

/**
 * Creates the functions that write the objects of one answer in OpenAI's format ("The chat completion chunk object", "The
 * completion object").
 */
export function createAnswerWriter({ id, isChat, model, created, includesUsage }: AnswerHead) {
  const chunkObject = isChat ? 'chat.completion.chunk' : 'text_completion'
  const head = { id, object: chunkObject, created, model }
  const noUsage = includesUsage ? { usage: null } : {}
  const writeChoice = (text: string, finishReason: AnswerEnd | null, logprobs: object | null) =>
    isChat
      ? { index: 0, delta: text === '' ? {} : { content: text }, logprobs, finish_reason: finishReason }
      : { index: 0, text, logprobs, finish_reason: finishReason }

  return {
    /** Returns the first chunk of a chat; undefined for a completion, which starts with its text. */
    start: () =>
      isChat
        ? {
            ...head,
            choices: [
              { index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
            ],
            ...noUsage,
          }
        : undefined,
    write: ({ text, logprobs }: TokenChunk) => ({
      ...head,
      choices: [
        writeChoice(text, null, logprobs ? { content: logprobs.map(writeLogprobs), refusal: null } : null),
      ],
      ...noUsage,
    }),
    end: (finishReason: AnswerEnd) => ({
      ...head,
      choices: [writeChoice('', finishReason, null)],
      ...noUsage,
    }),
    writeUsageChunk: (usage: Usage) => ({ ...head, choices: [], usage: writeUsage(usage) }),
    /** Returns the whole answer as one object. */
    writeWhole: ({ text, usage }: GenerationResult, end: AnswerEnd, chunks: readonly TokenChunk[]) => {
      const tokens = chunks.flatMap(({ logprobs }) => logprobs ?? [])
      const logprobs = tokens.length > 0 ? { content: tokens.map(writeLogprobs), refusal: null } : null
      const choice = isChat
        ? {
            index: 0,
            message: { role: 'assistant', content: text, refusal: null },
            logprobs,
            finish_reason: end,
          }
        : { index: 0, text, logprobs: null, finish_reason: end }
      const object = isChat ? 'chat.completion' : 'text_completion'
      return { id, object, created, model, choices: [choice], usage: writeUsage(usage) }
    },
  }
}

function writeUsage({ promptTokens, cachedPromptTokens, completionTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
  }
}

const encoder = new TextEncoder()

function writeLogprob({ text, logprob }: TokenLogprob) {
  return { token: text, logprob, bytes: [...encoder.encode(text)] }
}

function writeLogprobs({ top, ...chosen }: TokenLogprob & { readonly top: readonly TokenLogprob[] }) {
  return { ...writeLogprob(chosen), top_logprobs: top.map(writeLogprob) }
}
