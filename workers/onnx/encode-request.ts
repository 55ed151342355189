import type { GenerateRequest } from '../../lib/contract/request.js'
import { startAnswer, type AnswerStart } from '../text/channels/start-answer.js'
import type { PromptPart } from '../text/chat-template.js'
import { encodeRendered, renderPrompt } from '../text/prompt.js'
import type { Tokenizer } from '../text/tokenizer.js'
import type { ModelConfig } from './model-config.js'

/** The tokens before the first token that this model generates. */
export interface EncodedRequest {
  readonly start: AnswerStart
  /** The rendered prompt, up to where the answer starts. */
  readonly conversationIds: readonly number[]
  /** The start of the answer: the marks of its reasoning, the caller's text, and what other models generated. */
  readonly startIds: readonly number[]
  /** How many of `startIds` belong to the prompt: all but what other models generated. */
  readonly prefixTokens: number
}

/**
 * Renders a request's prompt and the start of its answer, and encodes both.
 * @throws RivuletError `chat-template-failed`, `generation-failed`; the reason of `signal`
 */
export async function encodeRequest(
  { tokenizer, chatTemplate, family }: Pick<ModelConfig, 'tokenizer' | 'chatTemplate' | 'family'>,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<EncodedRequest> {
  const encode = (parts: readonly PromptPart[]) => tokenizer.encode(parts, signal)
  const prompt = renderPrompt(chatTemplate, request, family)
  const conversationIds = await encodeRendered(tokenizer, request.input, prompt, signal)
  const isControl = (text: string) => isControlToken(tokenizer, text)
  const start = startAnswer({ family, chatTemplate, isControl }, request, prompt)
  const prefixTokens = (await encode(start.prefix)).length
  const startIds = await encode([...start.prefix, ...start.handedOver])
  return { start, conversationIds, startIds, prefixTokens }
}

/** Returns the number of tokens in the prompt, as `usage.promptTokens` counts them. */
export function countPrompt({
  conversationIds,
  prefixTokens,
}: Pick<EncodedRequest, 'conversationIds' | 'prefixTokens'>): number {
  return conversationIds.length + prefixTokens
}

function isControlToken(tokenizer: Tokenizer, text: string): boolean {
  const id = tokenizer.findId(text)
  return id !== undefined && tokenizer.readControlText(id) !== undefined
}
