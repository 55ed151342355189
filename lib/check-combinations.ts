import { refuse } from './contract/check-options.js'
import type { CheckedRequest } from './check-request.js'

/**
 * Checks the options of a request against each other and against its messages.
 * @throws RivuletError `invalid-option`
 */
export function checkCombinations({ prompt, assistantPrefix, options }: CheckedRequest): void {
  const { responseFormat, tools = [], toolChoice } = options
  const isForced = toolChoice !== undefined && toolChoice !== 'auto' && toolChoice !== 'none'
  if (isForced && tools.length === 0)
    refuse('"toolChoice" demands a call, so it needs "tools".', 'toolChoice')
  if (typeof toolChoice === 'object' && !tools.some(({ name }) => name === toolChoice.name)) {
    refuse(`"toolChoice" names the tool "${toolChoice.name}", which "tools" does not contain.`, 'toolChoice')
  }
  if (isForced && responseFormat) {
    refuse(
      '"toolChoice" demands a call instead of an answer with "responseFormat". Leave one of them out.',
      'toolChoice',
    )
  }
  if (assistantPrefix !== undefined && tools.length > 0 && toolChoice !== 'none') {
    refuse(
      '"continueFinalMessage" continues a text, so no tool can be called. Set "toolChoice" to "none".',
      'continueFinalMessage',
    )
  }
  if (typeof prompt !== 'string') checkToolMessages(prompt)
}

/** Checks that each tool message answers a call of an earlier message. */
function checkToolMessages(messages: Exclude<CheckedRequest['prompt'], string>): void {
  const ids = new Set<string>()
  for (const [index, message] of messages.entries()) {
    if (message.role === 'assistant') for (const { id } of message.tool_calls ?? []) ids.add(id)
    if (message.role === 'tool' && !ids.has(message.tool_call_id)) {
      refuse(
        `messages[${index}].tool_call_id must be the id of a tool call in an earlier message; got "${message.tool_call_id}".`,
        `messages[${index}].tool_call_id`,
      )
    }
  }
}
