import type { ChatMessage, GenerateOptions, PromptOptions, Tool } from '../contract/request.js'
import type { ModelInfo } from '../contract/worker-api.js'
import type { Engine } from '../engine.js'
import type { GenerationResult } from '../generation.js'
import { createException } from './exceptions.js'
import type { LanguageModelAnswerPart, LanguageModelSamplingMode } from './dictionaries.js'
import type { ReadConstraint } from './read-options.js'
import { LanguageModelToolCall } from './tool-values.js'

/** What the engine answers. */
export interface AnswerRequest {
  readonly messages: readonly ChatMessage[]
  readonly isPrefix: boolean
  readonly constraint: ReadConstraint | undefined
  readonly samplingMode: LanguageModelSamplingMode
  readonly tools: readonly Tool[]
}

/** A complete answer. */
export interface Answer {
  readonly text: string
  readonly calls: readonly LanguageModelToolCall[]
  /** The message of the assistant; with `isPrefix`, without the prefix. */
  readonly message: Extract<ChatMessage, { readonly role: 'assistant' }>
}

/** The sampling of each mode. `balanced` leaves it to the model. */
const temperatures = {
  'most-predictable': 0,
  predictable: 0.3,
  'slightly-predictable': 0.6,
  balanced: undefined,
  'slightly-creative': 1,
  creative: 1.2,
  'most-creative': 1.5,
} as const satisfies Record<LanguageModelSamplingMode, number | undefined>

/**
 * Generates an answer.
 * @param emit is awaited with each piece of the text, so that a slow reader slows down the model
 * @throws RivuletError; `SyntaxError` if the answer ended before it matched the constraint; `NotReadableError` if it was filtered;
 *   the reason of `signal`
 */
export async function generateAnswer(
  engine: Engine,
  request: AnswerRequest,
  emit: (text: string) => Promise<void>,
  signal: AbortSignal,
): Promise<Answer> {
  const stream = engine.generate(request.messages, { ...chooseOptions(engine, request), signal })
  for await (const { text } of stream) if (text !== '') await emit(text)
  const result = await stream.result
  if (result.finishReason === 'content-filter') {
    throw createException('NotReadableError', 'A filter of the server ended the answer.')
  }
  if (result.finishReason === 'length' && request.constraint) {
    throw createException(
      'SyntaxError',
      'The answer reached its length limit before it was valid by the constraint.',
    )
  }
  const calls = result.toolCalls.map(readCall)
  return { text: result.text, calls, message: toMessage(result) }
}

/** Returns the options of every prompt of a session: its tools, and no reasoning. */
export function choosePromptOptions({ supports }: ModelInfo, tools: readonly Tool[]): PromptOptions {
  return {
    ...(supports.reasoning.includes('off') && { reasoning: 'off' }),
    ...(tools.length > 0 && { tools }),
  }
}

function chooseOptions(
  { info }: Engine,
  { isPrefix, constraint, samplingMode, tools }: AnswerRequest,
): GenerateOptions {
  const temperature = temperatures[samplingMode]
  return {
    ...(temperature !== undefined && { temperature }),
    ...choosePromptOptions(info, tools),
    ...(tools.length > 0 && isPrefix && { toolChoice: 'none' }),
    ...(constraint && { responseFormat: constraint.format }),
    continueFinalMessage: isPrefix,
  }
}

function readCall({
  id,
  name,
  arguments: text,
}: GenerationResult['toolCalls'][number]): LanguageModelToolCall {
  try {
    // The engine holds the model to an object; a model on a server can write anything.
    const input = JSON.parse(text || '{}') as Readonly<Record<string, unknown>>
    return new LanguageModelToolCall({ callId: id, name, arguments: input })
  } catch (error) {
    throw createException('UnknownError', `The model did not complete the arguments of ${name}.`, error)
  }
}

function toMessage({ text, reasoning, toolCalls }: GenerationResult): Answer['message'] {
  const calls = toolCalls.map(({ id, name, arguments: input }) => ({
    id,
    type: 'function' as const,
    function: { name, arguments: input || '{}' },
  }))
  return {
    role: 'assistant',
    content: text,
    // Chat templates drop the reasoning of earlier turns, but some want it until the tools have answered.
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

/** Returns an answer as `prompt()` does: its text, or a list of its parts if it calls tools. */
export function toResult({ text, calls }: Answer): string | LanguageModelAnswerPart[] {
  if (calls.length === 0) return text
  const parts: LanguageModelAnswerPart[] = text === '' ? [] : [{ type: 'text', value: text }]
  return [...parts, ...calls.map((value) => ({ type: 'tool-call', value }) as const)]
}
