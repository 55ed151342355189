import type { GenerateRequest } from '../../lib/contract/request.js'
import type { ChatTemplate, PromptPart } from './chat-template.js'
import type { Tokenizer } from './tokenizer.js'

/** The parts of a model that turn a prompt into tokens. */
export interface PromptEncoder {
  readonly tokenizer: Tokenizer
  /** Undefined for a model without a chat template, which does not support the input `chat`. */
  readonly chatTemplate: ChatTemplate | undefined
}

type PromptRequest = Pick<GenerateRequest, 'input' | 'options'>

/**
 * Returns the token ids of a prompt: messages go through the chat template; raw text follows the model's
 * beginning-of-sequence token.
 * @throws RivuletError `chat-template-failed`
 */
export function encodePrompt({ tokenizer, chatTemplate }: PromptEncoder, request: PromptRequest): number[] {
  const prefixIds = request.input.kind === 'text' ? tokenizer.prefixIds : []
  return [...prefixIds, ...tokenizer.encode(renderPrompt(chatTemplate, request))]
}

/**
 * Returns the parts of a prompt: messages go through the chat template; raw text is content.
 * @throws RivuletError `chat-template-failed`
 */
export function renderPrompt(
  chatTemplate: ChatTemplate | undefined,
  { input, options }: PromptRequest,
): readonly PromptPart[] {
  if (input.kind === 'text') return [{ text: input.text, isContent: true }]
  return chatTemplate?.render(input.messages, options.templateVariables) ?? []
}
