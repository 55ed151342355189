import type { GenerateRequest, RequestInput } from '../../lib/contract/request.js'
import { plainFamily, type AnswerFamily } from './channels/answer-family.js'
import { switchReasoning } from './channels/reasoning-control.js'
import { toTemplateMessages, toTemplateTools } from './channels/template-messages.js'
import { readTemplateShape } from './channels/template-shape.js'
import type { ChatTemplate, PromptPart } from './chat-template.js'
import type { Tokenizer } from './tokenizer.js'

/** The parts of a model that turn a prompt into tokens. */
export interface PromptEncoder {
  readonly tokenizer: Tokenizer
  /** Undefined for a model without a chat template, which does not support the input `chat`. */
  readonly chatTemplate: ChatTemplate | undefined
  /** How the model writes thoughts and tool calls. @default neither */
  readonly family?: AnswerFamily
}

type PromptRequest = Pick<GenerateRequest, 'input' | 'options'>

/**
 * Returns the token ids of a prompt: messages go through the chat template; raw text follows the model's
 * beginning-of-sequence token.
 * @throws RivuletError `chat-template-failed`; the reason of `signal`
 */
export async function encodePrompt(
  { tokenizer, chatTemplate, family }: PromptEncoder,
  request: PromptRequest,
  signal?: AbortSignal,
): Promise<number[]> {
  return encodeRendered(tokenizer, request.input, renderPrompt(chatTemplate, request, family), signal)
}

/** Returns the token ids of the rendered prompt of `input`. @throws the reason of `signal` */
export async function encodeRendered(
  tokenizer: Tokenizer,
  input: RequestInput,
  parts: readonly PromptPart[],
  signal?: AbortSignal,
): Promise<number[]> {
  const prefixIds = input.kind === 'text' ? tokenizer.prefixIds : []
  return [...prefixIds, ...(await tokenizer.encode(parts, signal))]
}

/**
 * Returns the parts of a prompt: messages go through the chat template; raw text is content.
 * @throws RivuletError `chat-template-failed`
 */
export function renderPrompt(
  chatTemplate: ChatTemplate | undefined,
  { input, options }: PromptRequest,
  family: AnswerFamily = plainFamily,
): readonly PromptPart[] {
  if (input.kind === 'text') return [{ text: input.text, isContent: true }]
  // A model without a chat template does not support the input `chat`.
  if (!chatTemplate) return []
  const { tools, toolChoice, reasoning, templateVariables } = options
  const messages = toTemplateMessages(input.messages, readTemplateShape(chatTemplate), family)
  const reasoned = switchReasoning(chatTemplate, family, reasoning, messages)
  return chatTemplate.render(reasoned.messages, {
    ...templateVariables,
    ...reasoned.variables,
    // A model does not call tools that it does not know.
    ...(tools && toolChoice !== 'none' && { tools: toTemplateTools(tools) }),
  })
}
