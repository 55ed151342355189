import type { MessageToolCall, RequestMessage } from '../../../lib/contract/request.js'

/** Where a conversation continues: the id of a response that the server keeps, and the messages after it. */
interface Continuation {
  readonly previousId: string
  readonly messages: readonly RequestMessage[]
}

/** What a response added to its conversation. */
export interface ResponseAnswer {
  readonly text: string
  readonly toolCalls: readonly MessageToolCall[]
}

/** The responses that a server keeps, by the conversations that they end. */
export interface KnownResponses {
  /** Finds the longest part of a conversation that the server knows. @returns undefined if it knows none */
  find(messages: readonly RequestMessage[]): Continuation | undefined
  add(messages: readonly RequestMessage[], answer: ResponseAnswer, id: string): void
  /** Forgets a response that the server no longer has. */
  remove(id: string): void
}

/** The number of responses that are remembered. */
const maxKnown = 32

export function createKnownResponses(): KnownResponses {
  /** The end of a conversation → the response's id. The oldest is first. */
  const known = new Map<string, string>()
  return {
    find(messages) {
      for (let end = messages.length - 1; end > 0; end -= 1) {
        if (messages[end - 1]?.role !== 'assistant') continue
        const previousId = known.get(writeKey(messages.slice(0, end)))
        if (previousId !== undefined) return { previousId, messages: messages.slice(end) }
      }
      return undefined
    },
    add(messages, { text, toolCalls }, id) {
      const answer: RequestMessage = {
        role: 'assistant',
        content: text,
        ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
      }
      known.set(writeKey([...messages, answer]), id)
      for (const key of known.keys()) if (known.size > maxKnown) known.delete(key)
    },
    remove(id) {
      for (const [key, value] of known) if (value === id) known.delete(key)
    },
  }
}

/** The reasoning of an answer is not part of the key: an app may leave it out. */
function writeKey(messages: readonly RequestMessage[]): string {
  return JSON.stringify(
    messages.map((message) => [
      message.role,
      message.content,
      message.role === 'assistant' ? (message.tool_calls ?? []).map(writeCallKey) : [],
      message.role === 'tool' ? message.tool_call_id : '',
    ]),
  )
}

function writeCallKey({ id, function: { name, arguments: args } }: MessageToolCall): readonly string[] {
  return [id, name, args]
}
