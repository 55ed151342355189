import type { LanguageModelV4Prompt, LanguageModelV4ToolResultPart } from '@ai-sdk/provider'
import { refuse } from '../contract/check-options.js'
import type { ChatMessage } from '../contract/request.js'

/**
 * Converts the SDK's prompt to messages. Reasoning and tool calls of earlier answers are left out, as models expect. Tool
 * results become messages of the user. Two messages of the same role in a row are joined, because chat templates want turns.
 * @throws RivuletError `invalid-option` for files
 */
export function readPrompt(prompt: LanguageModelV4Prompt): ChatMessage[] {
  const messages: ChatMessage[] = []
  for (const message of prompt.map(readMessage)) {
    if (message.content === '' && message.role === 'assistant') continue
    const last = messages.at(-1)
    if (last?.role !== message.role) messages.push(message)
    else messages[messages.length - 1] = { ...last, content: `${last.content}\n\n${message.content}` }
  }
  return messages
}

function readMessage(message: LanguageModelV4Prompt[number], index: number): ChatMessage {
  if (message.role === 'system') return { role: 'system', content: message.content }
  if (message.role === 'tool') {
    const results = message.content.filter((part) => part.type === 'tool-result')
    return { role: 'user', content: results.map(readResult).join('\n\n') }
  }
  const texts = message.content.map((part) => {
    if (part.type === 'text') return part.text
    return part.type === 'file' ? refuseFile(index) : ''
  })
  return { role: message.role, content: texts.join('') }
}

function readResult({ toolName, output }: LanguageModelV4ToolResultPart): string {
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
