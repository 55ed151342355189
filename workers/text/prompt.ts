import type { RequestInput } from '../../lib/contract/request.js'
import { renderChatTemplate } from './chat-template.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * The token ids of a prompt: through the chat template, or raw text after the model's beginning-of-sequence token.
 * @throws RivuletError `chat-template-failed`
 */
export function encodePrompt(tokenizer: Tokenizer, input: RequestInput): number[] {
  const { chatTemplate, templateTokens, prefixIds } = tokenizer
  if (input.kind === 'text') {
    return [...prefixIds, ...tokenizer.encode([{ text: input.text, isContent: true }])]
  }
  // A model without one does not support the input `chat`.
  return tokenizer.encode(renderChatTemplate(chatTemplate ?? '', input.messages, templateTokens))
}
