import type { Answer, ChatToolCall, ToolRound } from '../chat.js'
import type { TokenChunk } from '../contract/worker-api.js'
import type { PartialJson } from '../partial-json.js'

/** What an answer consists of so far. */
export type AnswerContent = Pick<Answer, 'text' | 'reasoning' | 'rounds' | 'value'>

/** Collects the chunks of one round of an answer. */
export interface RoundContent {
  /** The answer with this round. If the round calls tools, it is the last of `rounds`, and the answer's text is empty. */
  readonly content: AnswerContent
  /** The calls of this round; empty if it calls no tools. */
  readonly calls: readonly ChatToolCall[]
  /** Adds a chunk. @returns true if `content` has changed */
  add(chunk: TokenChunk): boolean
  setCalls(calls: readonly ChatToolCall[]): void
}

/**
 * @param before the answer before this round. Its text and reasoning are continued
 * @param partial reads the value of the answer, from its text; undefined for an answer without a form
 */
export function createRoundContent(
  { rounds = [], ...before }: AnswerContent,
  partial: PartialJson | undefined,
): RoundContent {
  let { text, reasoning = '' } = before
  let calls: readonly ChatToolCall[] = []

  return {
    get content() {
      const channels = { text, ...(reasoning !== '' && { reasoning }) }
      const round: readonly ToolRound[] = calls.length > 0 ? [{ ...channels, calls }] : []
      const all = [...rounds, ...round]
      const value = calls.length > 0 ? undefined : partial?.value
      return {
        ...(calls.length > 0 ? { text: '' } : channels),
        ...(all.length > 0 && { rounds: all }),
        ...(value !== undefined && { value }),
      }
    },
    get calls() {
      return calls
    },
    add(chunk) {
      const { toolCalls = [] } = chunk
      if (chunk.text === '' && !chunk.reasoning && toolCalls.length === 0) return false
      text += chunk.text
      partial?.add(chunk.text)
      reasoning += chunk.reasoning ?? ''
      for (const { index, id = '', name = '', argumentsDelta } of toolCalls) {
        const call = calls[index] ?? { id, name, arguments: '', state: { kind: 'streaming' } }
        const grown = { ...call, arguments: call.arguments + argumentsDelta }
        calls = [...calls.slice(0, index), grown, ...calls.slice(index + 1)]
      }
      return true
    },
    setCalls(changed) {
      calls = changed
    },
  }
}

/** Returns an answer that has ended, without running calls: those that have no result have failed for this reason. */
export function settleCalls(content: AnswerContent, message: string): AnswerContent {
  const last = content.rounds?.at(-1)
  const isOpen = ({ state }: ChatToolCall) => state.kind === 'streaming' || state.kind === 'running'
  if (!last?.calls.some(isOpen)) return content
  const calls = last.calls.map((call): ChatToolCall =>
    isOpen(call) ? { ...call, state: { kind: 'failed', message } } : call,
  )
  return { ...content, rounds: [...content.rounds!.slice(0, -1), { ...last, calls }] }
}
