import type { MessageToolCall, RequestMessage, RequestTool } from '../../../lib/contract/request.js'
import { MarkedText, type TemplateMessage } from '../chat-template.js'
import type { AnswerFamily } from './answer-family.js'
import { parseJson } from './json-value.js'
import type { CallForm, TemplateShape } from './template-shape.js'
import { writeCalls } from './write-calls.js'

type Fields = TemplateMessage & Readonly<Record<string, unknown>>

/** Returns the variable `tools` of chat templates, in the form of transformers. */
export function toTemplateTools(tools: readonly RequestTool[]): readonly object[] {
  return tools.map((tool) => ({ type: 'function', function: tool }))
}

/**
 * Returns messages as a chat template takes them: the arguments of calls as an object or a text, and the names of the tools
 * in their results.
 */
export function toTemplateMessages(
  messages: readonly RequestMessage[],
  shape: TemplateShape,
  family: AnswerFamily,
): readonly TemplateMessage[] {
  const names = new Map<string, string>()
  const toId = (id: string) => (shape.needsShortIds ? shortenId(id) : id)
  return messages.map((message) => {
    if (message.role === 'tool') return writeResult(message)
    return message.role === 'assistant' ? writeAnswer(message) : message
  })

  function writeResult(message: Extract<RequestMessage, { role: 'tool' }>): Fields {
    const name = names.get(message.tool_call_id)
    const result = { ...message, tool_call_id: toId(message.tool_call_id) }
    return name === undefined ? result : { ...result, name }
  }

  function writeAnswer(message: Extract<RequestMessage, { role: 'assistant' }>): Fields {
    const { tool_calls: calls, reasoning_content: reasoning, ...rest } = message
    const answer = reasoning === undefined ? rest : { ...rest, [shape.thoughtField]: reasoning }
    if (!calls) return answer
    for (const { id, function: called } of calls) names.set(id, called.name)
    return { ...answer, ...writeTurn(message.content, calls) }
  }

  function writeTurn(content: string, calls: readonly MessageToolCall[]): object {
    const form = shape.callForm
    if (!form) return { content: writeContent(content, calls, family) }
    return {
      content: content === '' ? form.content : content,
      tool_calls: calls.map((call) => toTemplateCall(call, form, toId)),
    }
  }
}

function toTemplateCall(
  { id, type, function: { name, arguments: text } }: MessageToolCall,
  form: CallForm,
  toId: (id: string) => string,
): object {
  const value = parseJson(text)
  const isObject = typeof value === 'object' && value !== null
  return {
    id: toId(id),
    type,
    function: { name, arguments: form.arguments === 'object' && isObject ? value : text },
  }
}

/** Writes calls into the content, for a template that does not write them. */
function writeContent(content: string, calls: readonly MessageToolCall[], family: AnswerFamily): MarkedText {
  const written = calls.map(({ function: called }) => called)
  return new MarkedText([{ text: content, isContent: true }, ...writeCalls(family, written)])
}

/** Returns nine letters and digits for an id. The same id gives the same text (FNV-1a). */
function shortenId(id: string): string {
  if (/^[a-zA-Z0-9]{9}$/.test(id)) return id
  let hash = 0xcbf29ce484222325n
  for (const character of id) {
    hash = ((hash ^ BigInt(character.codePointAt(0)!)) * 0x100000001b3n) & 0xffffffffffffffffn
  }
  return hash.toString(36).padStart(9, '0').slice(-9)
}
