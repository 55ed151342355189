import { refuse } from './contract/check-options.js'
import { roles, type MessageToolCall, type RequestMessage } from './contract/request.js'
import { describeValue } from './describe-value.js'
import { isObjectText } from './is-object-text.js'

/**
 * Checks a message and returns a plain copy. The original may be a framework's proxy or contain a function, and then could
 * not be posted to the worker.
 * @throws RivuletError `invalid-option`
 */
export function checkMessage(message: unknown, index: number): RequestMessage {
  const name = `messages[${index}]`
  const fields = (message ?? {}) as Readonly<Record<string, unknown>>
  const role = roles.find((known) => known === fields.role)
  if (!role) {
    const names = roles.map((known) => `"${known}"`).join(', ')
    refuse(`${name}.role must be one of ${names}; got ${describeValue(fields.role)}.`, `${name}.role`)
  }
  if (role === 'assistant') return checkAssistant(fields, name)
  const content = readContent(fields.content, `${name}.content`)
  if (role !== 'tool') return { role, content }
  const { tool_call_id } = fields
  if (typeof tool_call_id !== 'string') {
    refuse(
      `${name}.tool_call_id must be the id of the tool call that the message answers.`,
      `${name}.tool_call_id`,
    )
  }
  return { role, content, tool_call_id }
}

function checkAssistant(fields: Readonly<Record<string, unknown>>, name: string): RequestMessage {
  const { content, reasoning_content: reasoning, tool_calls } = fields
  const calls = checkCalls(tool_calls ?? [], `${name}.tool_calls`)
  if (reasoning !== undefined && reasoning !== null && typeof reasoning !== 'string') {
    refuse(`${name}.reasoning_content must be a string.`, `${name}.reasoning_content`)
  }
  const isSilent = (content === undefined || content === null) && calls.length > 0
  return {
    role: 'assistant',
    content: isSilent ? '' : readContent(content, `${name}.content`),
    ...(reasoning && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function checkCalls(calls: unknown, name: string): readonly MessageToolCall[] {
  if (!Array.isArray(calls)) refuse(`${name} must be a list.`, name)
  return calls.map((call: unknown, index) => {
    const { id, function: called } = (call ?? {}) as Readonly<Record<string, unknown>>
    const { name: tool, arguments: text } = (called ?? {}) as Readonly<Record<string, unknown>>
    if (
      typeof id === 'string' &&
      typeof tool === 'string' &&
      typeof text === 'string' &&
      isObjectText(text)
    ) {
      // Some servers send an empty text for a call without arguments.
      return { id, type: 'function', function: { name: tool, arguments: text.trim() || '{}' } }
    }
    return refuse(
      `${name}[${index}] must be { id, type: "function", function: { name, arguments } }, with the arguments as the JSON text of an object.`,
      name,
    )
  })
}

/** Returns the text of a message: a string, or the texts of its parts, joined. */
function readContent(content: unknown, name: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content))
    refuse(`${name} must be a string or a list of parts; got ${describeValue(content)}.`, name)
  return content
    .map((part: { readonly type?: unknown; readonly text?: unknown } | null) => {
      if (part?.type === 'text' && typeof part.text === 'string') return part.text
      return refuse(
        `${name} contains the part ${describeValue(part?.type)}. Engines read only text: { type: "text", text }.`,
        name,
      )
    })
    .join('')
}
