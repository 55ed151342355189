import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import { createAnswerReader, type AnswerStep } from '../text/channels/answer-reader.js'
import { startAnswer, type AnswerStart } from '../text/channels/start-answer.js'
import type { PromptPart } from '../text/chat-template.js'
import { encodeRendered, renderPrompt } from '../text/prompt.js'
import type { Tokenizer } from '../text/tokenizer.js'
import type { ModelConfig } from './model-config.js'
import { createTokenReader, replay, type TokenReader } from './read-tokens.js'

/** A request as tokens, and the reader of its answer's tokens. */
export interface PreparedAnswer {
  /** The tokens of the conversation, to the start of the answer. */
  readonly conversationIds: readonly number[]
  /** The tokens of the answer's start: its marks, what the caller wrote, and what other models generated. */
  readonly startIds: readonly number[]
  /** How many of `startIds` are no part of the answer: the marks, and what the caller wrote. */
  readonly prefixTokens: number
  /** The most tokens that the answer can have, with those of other models. */
  readonly maxTokens: number
  readonly start: AnswerStart
  /** Has read the tokens that this model generated before. */
  readonly answer: TokenReader
  /** What these tokens added to the answer. */
  readonly replayed: AnswerStep
  /** What other models generated, and then this one. */
  readonly resume: Resume
}

/** The parts of a model that a request is prepared with. */
export type PromptConfig = Pick<
  ModelConfig,
  'tokenizer' | 'chatTemplate' | 'family' | 'contextLength' | 'maxTokens'
>

/**
 * Turns a request into the tokens to compute.
 * @throws RivuletError `prompt-too-long`, `invalid-option`, `chat-template-failed`, `generation-failed`; the reason of
 *   `signal`
 */
export async function prepareAnswer(
  config: PromptConfig,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<PreparedAnswer> {
  const { input, options, resume = newAnswer } = request
  const { handedOver, generated } = resume
  const { tokenizer, chatTemplate, family } = config
  const encode = (parts: readonly PromptPart[]) => tokenizer.encode(parts, signal)
  const prompt = renderPrompt(chatTemplate, request, family)
  const conversationIds = await encodeRendered(tokenizer, input, prompt, signal)
  const isControl = (text: string) => isControlToken(tokenizer, text)
  const start = startAnswer({ family, chatTemplate, isControl }, request, prompt)
  const prefixTokens = (await encode(start.prefix)).length
  const startIds = await encode([...start.prefix, ...start.handedOver])
  const promptIds = [...conversationIds, ...startIds]
  const maxTokens = Math.min(
    options.maxTokens ?? config.maxTokens ?? Infinity,
    handedOver.tokens + countRoom(promptIds, config),
  )
  const usedTokens = (await encode([{ text: handedOver.reasoning ?? '', isContent: true }])).length
  const reader = createAnswerReader(start.splitter, options.stop)
  const answer = createTokenReader(tokenizer, promptIds, reader, options.reasoning, usedTokens)
  const replayed = replay(generated.tokenIds, answer)
  return { conversationIds, startIds, prefixTokens, maxTokens, start, answer, replayed, resume }
}

const newAnswer: Resume = {
  handedOver: { text: '', tokens: 0 },
  generated: { text: '', tokens: 0, tokenIds: [] },
}

function isControlToken(tokenizer: Tokenizer, text: string): boolean {
  const id = tokenizer.findId(text)
  return id !== undefined && tokenizer.readControlText(id) !== undefined
}

/** Returns how many tokens of the context remain for the answer. */
function countRoom(
  promptIds: readonly number[],
  { contextLength }: Pick<PromptConfig, 'contextLength'>,
): number {
  if (promptIds.length === 0)
    throw new RivuletError(
      'invalid-option',
      'The prompt is empty: it contains no token of this model. Write a prompt.',
    )
  if (promptIds.length < contextLength) return contextLength - promptIds.length
  throw new RivuletError(
    'prompt-too-long',
    `The prompt has ${promptIds.length} tokens, but this model's context (prompt and answer together) has ${contextLength}. ` +
      'Shorten the prompt or remove old messages.',
  )
}

/** Bans the token that starts a call, if the request has tools that the model must not call. */
export function banCalls(
  { family, tokenizer }: Pick<ModelConfig, 'family' | 'tokenizer'>,
  { tools, toolChoice, logitBias }: RequestOptions,
): Pick<RequestOptions, 'logitBias'> {
  const mark = family.kind === 'marked' ? family.calls?.open : undefined
  const id = tools && toolChoice === 'none' && mark ? tokenizer.findId(mark) : undefined
  return id === undefined ? {} : { logitBias: { ...logitBias, [id]: -100 } }
}
