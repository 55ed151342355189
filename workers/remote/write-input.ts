import { refuse } from '../../lib/contract/check-options.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestFormat, RequestMessage } from '../../lib/contract/request.js'
import { joinAnswer, type Fields } from '../openai-body.js'
import { findIgnoredKeyword } from './find-ignored-keyword.js'
import type { Dialect } from './server-kinds.js'

/**
 * Returns the fields of a request's input: the messages or the prompt, and the answer so far.
 * @throws RivuletError `invalid-option` if the server cannot continue a message in a form; `connection-failed` if it cannot
 * continue a lost answer where it broke off
 */
export function writeInput(dialect: Dialect, request: GenerateRequest): Fields {
  const { input } = request
  const answer = joinAnswer(request)
  const reasoning = joinReasoning(request)
  checkContinuation(dialect, request, answer, reasoning)
  if (input.kind === 'text') return { prompt: input.text + answer }
  const messages = input.messages.map((message) => writeMessage(dialect, message))
  if (answer === '' && reasoning === '') return { messages }
  const message: RequestMessage = {
    role: 'assistant',
    content: answer,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
  }
  // These are vLLM's field names (ChatCompletionRequest). llama.cpp's server always continues an assistant's last message, and
  // continues the reasoning instead of the text with `reasoning_content`.
  return {
    add_generation_prompt: false,
    continue_final_message: answer === '' ? 'reasoning_content' : true,
    messages: [...messages, writeMessage(dialect, message)],
  }
}

/** Returns the reasoning of the answer so far. */
function joinReasoning({ resume }: GenerateRequest): string {
  return (resume?.handedOver.reasoning ?? '') + (resume?.generated.reasoning ?? '')
}

/** Returns a message with its old reasoning under the server's names, or without it. */
function writeMessage({ reasoningFields }: Dialect, message: RequestMessage): Fields {
  if (message.role !== 'assistant') return { ...message }
  const { reasoning_content, ...rest } = message
  if (reasoning_content === undefined) return rest
  return { ...rest, ...Object.fromEntries(reasoningFields.map((name) => [name, reasoning_content])) }
}

/** @throws RivuletError if the server would start the answer again instead of continuing it */
function checkContinuation(
  dialect: Dialect,
  request: GenerateRequest,
  answer: string,
  reasoning: string,
): void {
  const { resume, options } = request
  const isLostAt = findLostPart(dialect, request, answer, reasoning)
  const kind = options.responseFormat?.kind
  const isHeld =
    kind === undefined || dialect.takesGrammars || (dialect.continuesJson && kind.startsWith('json'))
  if (answer + reasoning === '' || isHeld) {
    if (isLostAt === undefined) return
  } else if (!resume) {
    refuse(
      `This server cannot continue a message in the form "${kind}". Leave "continueFinalMessage" or "responseFormat" out.`,
      'continueFinalMessage',
    )
  }
  throw new RivuletError(
    'connection-failed',
    `The answer was lost, and this server cannot continue it ${isLostAt ?? `in the form "${kind}"`}. Retry.`,
  )
}

/** Returns where the answer was lost, if the server cannot continue it there. */
function findLostPart(
  { continuesReasoning, reasoningFields }: Dialect,
  { resume }: GenerateRequest,
  answer: string,
  reasoning: string,
): string | undefined {
  if (resume?.handedOver.toolCalls || resume?.generated.toolCalls) return 'after the start of a tool call'
  if (reasoning === '') return undefined
  if (answer === '' && !continuesReasoning) return 'in its reasoning'
  return reasoningFields.length === 0 ? 'after its reasoning' : undefined
}

/**
 * Returns the fields that demand a form.
 * @param grammar rivulet's grammar of the form, if the server takes it
 * @throws RivuletError `invalid-option` if the server cannot hold the form for this input
 */
export function writeFormatFields(
  { writeFormat, ignoresKeywords }: Dialect,
  format: RequestFormat,
  input: 'chat' | 'text',
  grammar: string | undefined,
): Fields {
  if (grammar !== undefined) return { grammar }
  const ignored = ignoresKeywords && format.kind === 'json-schema' && findIgnoredKeyword(format.schema)
  if (ignored) {
    refuse(
      `"responseFormat" cannot be held. The server ignores ${ignored}. Change the schema, or use another backend.`,
      'responseFormat',
    )
  }
  return (
    writeFormat(format, input) ??
    refuse(
      input === 'text'
        ? `This server cannot hold the form "${format.kind}" for raw text. Pass the prompt as messages.`
        : `This server cannot hold the form "${format.kind}" together with tools. Leave one of them out.`,
      'responseFormat',
    )
  )
}
