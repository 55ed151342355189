import type { DescribedRequest } from './describe-request.js'
import type { Message, Usage } from './runtime.js'

/** Tracks how much of a prompt web-llm takes from its KV cache: web-llm counts only the tokens that it computes. */
export interface PrefixReuse {
  /** @returns how many prompt tokens are in the KV cache, by web-llm's rule */
  begin(request: DescribedRequest): number
  /** Remembers an answer. Call it only for an answer that ended with `stop`: web-llm reuses the KV cache of no other. */
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
        // The last token was sampled, but its keys and values were not computed.
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
