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
 * @throws RivuletError `chat-template-failed`; the reason of `signal`
 */
export async function encodePrompt(
  { tokenizer, chatTemplate }: PromptEncoder,
  request: PromptRequest,
  signal?: AbortSignal,
): Promise<number[]> {
  const prefixIds = request.input.kind === 'text' ? tokenizer.prefixIds : []
  return [...prefixIds, ...(await tokenizer.encode(renderPrompt(chatTemplate, request), signal))]
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
  // A model without a chat template does not support the input `chat`.
  return chatTemplate?.render(input.messages, options.templateVariables) ?? []
}
