import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import { createAnswerReader, type AnswerStep } from '../text/channels/answer-reader.js'
import { encodeRequest, type EncodedRequest } from './encode-request.js'
import type { ModelConfig } from './model-config.js'
import { createTokenReader, replay, type TokenReader } from './read-tokens.js'

/** A request as tokens, and the reader of its answer's tokens. */
export interface PreparedAnswer extends EncodedRequest {
  /** The most tokens that the answer can have, with those of other models. */
  readonly maxTokens: number
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
  const { options, resume = newAnswer } = request
  const { handedOver, generated } = resume
  const { tokenizer } = config
  const encoded = await encodeRequest(config, request, signal)
  const { start, conversationIds, startIds } = encoded
  const promptIds = [...conversationIds, ...startIds]
  const maxTokens = Math.min(
    options.maxTokens ?? config.maxTokens ?? Infinity,
    handedOver.tokens + countRoom(promptIds, config),
  )
  const usedReasoning = [{ text: handedOver.reasoning ?? '', isContent: true }]
  const usedTokens = (await tokenizer.encode(usedReasoning, signal)).length
  const reader = createAnswerReader(start.splitter, options.stop)
  const answer = createTokenReader(tokenizer, promptIds, reader, options.reasoning, usedTokens)
  const replayed = replay(generated.tokenIds, answer)
  return { ...encoded, maxTokens, answer, replayed, resume }
}

const newAnswer: Resume = {
  handedOver: { text: '', tokens: 0 },
  generated: { text: '', tokens: 0, tokenIds: [] },
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
