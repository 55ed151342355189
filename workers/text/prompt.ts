import { RivuletError } from '../../lib/contract/errors.js'
import type { ChatMessage, GenerateRequest } from '../../lib/contract/options.js'
import { renderChatTemplate } from './chat-template.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * The token ids of a request's prompt: through the model's chat template where it has one and the request does not
 * say otherwise, else the raw text behind the model's begin-of-text token.
 * @throws RivuletError `invalid-option` for messages to a model without a template, `chat-template-failed`
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  { prompt, applyChatTemplate }: Pick<GenerateRequest, 'prompt' | 'applyChatTemplate'>,
): number[] {
  const { chatTemplate, templateTokens, prefixIds } = tokenizer
  if (chatTemplate !== undefined && applyChatTemplate !== false) {
    const messages: readonly ChatMessage[] =
      typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt
    return tokenizer.encode(renderChatTemplate(chatTemplate, messages, templateTokens))
  }
  if (typeof prompt !== 'string' || applyChatTemplate) {
    throw new RivuletError('invalid-option', 'This model has no chat template: give the prompt as a string.')
  }
  return [...prefixIds, ...tokenizer.encode([{ text: prompt, isContent: true }])]
}
