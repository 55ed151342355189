import { RivuletError } from '../../lib/contract/errors.js'
import type { ChatMessage, GenerateRequest } from '../../lib/contract/options.js'
import { renderChatTemplate } from './chat-template.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * Encodes a request's prompt. Uses the chat template if the model has one and the request does not disable it; otherwise
 * encodes the raw text after the model's begin-of-text token.
 * @throws RivuletError `invalid-option` for messages if the model has no chat template; `chat-template-failed`
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
    throw new RivuletError(
      'invalid-option',
      'This model has no chat template. Pass the prompt as a string, and leave out applyChatTemplate.',
    )
  }
  return [...prefixIds, ...tokenizer.encode([{ text: prompt, isContent: true }])]
}
