import type { DescribedRequest } from './describe-request.js'
import type { Message, Usage } from './runtime.js'

/** Knows what web-llm computes again and what it does not: it counts only the former, and tells nothing of the latter. */
export interface PrefixReuse {
  /** @returns how many of the prompt's tokens the KV cache holds, by web-llm's own rule */
  begin(request: DescribedRequest): number
  /** After an answer that ended with `stop`: no other is gone on from. */
  keep(request: DescribedRequest, answer: string, usage: Usage): void
}

interface Conversation {
  readonly messages: readonly Message[]
  readonly tokens: number
}

export function createPrefixReuse(): PrefixReuse {
  let last: Conversation | undefined
  let cachedTokens = 0
  return {
    begin(request) {
      const history = request.kind === 'chat' ? request.messages.slice(0, -1) : []
      cachedTokens = last && isSame(last.messages, history) ? last.tokens : 0
      last = undefined
      return cachedTokens
    },
    keep(request, answer, { prompt_tokens, completion_tokens }) {
      if (request.kind !== 'chat') return
      last = {
        messages: [...request.messages, { role: 'assistant', content: answer }],
        // The last token was drawn, not computed.
        tokens: cachedTokens + prompt_tokens + completion_tokens - 1,
      }
    },
  }
}

function isSame(a: readonly Message[], b: readonly Message[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ role, content }, index) => role === b[index]!.role && content === b[index]!.content)
  )
}
