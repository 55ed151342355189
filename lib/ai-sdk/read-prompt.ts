import type {
  LanguageModelV4Prompt,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolResultPart,
} from '@ai-sdk/provider'
import { refuse } from '../contract/check-options.js'
import type { ChatMessage, MessageToolCall } from '../contract/request.js'

/**
 * Converts the SDK's prompt to messages. Two messages of the same role in a row are joined, because chat templates want turns.
 * @param takesTools false for a model without tools: then earlier calls are left out, and their results become messages of
 *   the user
 * @throws RivuletError `invalid-option` for files
 */
export function readPrompt(prompt: LanguageModelV4Prompt, takesTools: boolean): ChatMessage[] {
  const messages: ChatMessage[] = []
  for (const message of prompt.flatMap((each, index) => readMessage(each, index, takesTools))) {
    const last = messages.at(-1)
    const joined = last && join(last, message)
    if (joined) messages[messages.length - 1] = joined
    else messages.push(message)
  }
  return messages
}

/** Joins two messages of the same role. @returns undefined if they cannot be one message */
function join(first: ChatMessage, second: ChatMessage): ChatMessage | undefined {
  if (first.role !== second.role || first.role === 'tool') return undefined
  if (first.role === 'assistant' && first.tool_calls) return undefined
  const texts = [first.content, second.content].filter((text) => text !== '')
  // Cast: `second` has the role and the fields of its type, and its content is a text.
  return { ...first, ...second, content: texts.join('\n\n') } as ChatMessage
}

function readMessage(
  message: LanguageModelV4Prompt[number],
  index: number,
  takesTools: boolean,
): readonly ChatMessage[] {
  if (message.role === 'system') return [{ role: 'system', content: message.content }]
  if (message.role === 'tool') {
    const results = message.content.filter((part) => part.type === 'tool-result')
    if (!takesTools) return [{ role: 'user', content: results.map(describeResult).join('\n\n') }]
    return results.map(({ toolCallId, output }) => ({
      role: 'tool',
      tool_call_id: toolCallId,
      content: describeOutput(output),
    }))
  }
  const content = message.content
    .map((part) => {
      if (part.type === 'text') return part.text
      return part.type === 'file' ? refuseFile(index) : ''
    })
    .join('')
  if (message.role === 'user') return [{ role: 'user', content }]
  const reasoning = message.content.flatMap((part) => (part.type === 'reasoning' ? [part.text] : [])).join('')
  const calls = takesTools
    ? message.content.flatMap((part) => (part.type === 'tool-call' ? [readCall(part)] : []))
    : []
  if (content === '' && calls.length === 0) return []
  return [
    {
      role: 'assistant',
      content,
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
  ]
}

/** The SDK has the input of a call that was not valid as a text: chat templates want an object. */
function readCall({ toolCallId, toolName, input }: LanguageModelV4ToolCallPart): MessageToolCall {
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input)
  const text = JSON.stringify(isObject ? input : {})
  return { id: toolCallId, type: 'function', function: { name: toolName, arguments: text } }
}

function describeResult({ toolName, output }: LanguageModelV4ToolResultPart): string {
  return `Result of ${toolName}: ${describeOutput(output)}`
}

function describeOutput(output: LanguageModelV4ToolResultPart['output']): string {
  if (output.type === 'text' || output.type === 'error-text') return output.value
  if (output.type === 'execution-denied')
    return `denied${output.reason === undefined ? '' : ` (${output.reason})`}`
  if (output.type !== 'content') return JSON.stringify(output.value)
  return output.value.map((part) => (part.type === 'text' ? part.text : `(${part.type})`)).join('')
}

function refuseFile(index: number): never {
  const name = `messages[${index}]`
  refuse(`${name} contains a file. The model in this page reads only text.`, name)
}
