import type { RequestInput } from '../../lib/contract/request.js'
import { renderChatTemplate } from './chat-template.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * Returns the token ids of a prompt: messages go through the chat template; raw text follows the model's
 * beginning-of-sequence token.
 * @throws RivuletError `chat-template-failed`; the reason of `signal`
 */
export async function encodePrompt(
  tokenizer: Tokenizer,
  input: RequestInput,
  signal?: AbortSignal,
): Promise<number[]> {
  const { chatTemplate, templateTokens, prefixIds } = tokenizer
  if (input.kind === 'text') {
    return [...prefixIds, ...(await tokenizer.encode([{ text: input.text, isContent: true }], signal))]
  }
  // A model without a chat template does not support the input `chat`.
  return tokenizer.encode(renderChatTemplate(chatTemplate ?? '', input.messages, templateTokens), signal)
}
