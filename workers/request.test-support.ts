import type {
  RequestMessage,
  GenerateRequest,
  RequestInput,
  RequestOptions,
} from '../lib/contract/request.js'

type Options = Partial<RequestOptions>

/** A request that goes through the chat template: a user message as a string, or a conversation. */
export function chatRequest(
  prompt: string | readonly RequestMessage[],
  options: Options = {},
  assistantPrefix = '',
): GenerateRequest {
  const messages: readonly RequestMessage[] =
    typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt
  return { input: { kind: 'chat', messages, assistantPrefix }, options: { stop: [], ...options } }
}

/** A request that continues raw text. */
export function textRequest(text: string, options: Options = {}): GenerateRequest {
  return { input: { kind: 'text', text }, options: { stop: [], ...options } }
}

/** The raw text, or the last message: for stand-ins of runtimes that answer with their prompt. */
export function readPrompt(input: RequestInput): string {
  return input.kind === 'text' ? input.text : input.messages.at(-1)!.content
}
