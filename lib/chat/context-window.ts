import type { ChatTurn } from '../chat.js'
import type { ChatMessage } from '../contract/request.js'

/** What the model is sent: the instructions, and the turns that it can make something of. */
export function toPrompt(system: string | undefined, turns: readonly ChatTurn[]): ChatMessage[] {
  // Chat templates ask for turns that alternate.
  const isAnswered = (index: number) => index === turns.length - 1 || hasText(turns[index + 1]!)
  const sent = turns.filter((turn, index) => (turn.role === 'user' ? isAnswered(index) : hasText(turn)))
  const messages = sent.map(({ role, text }): ChatMessage => ({ role, content: text }))
  return system === undefined ? messages : [{ role: 'system', content: system }, ...messages]
}

const hasText = ({ role, text }: ChatTurn) => role === 'assistant' && text !== ''

/** What of a conversation fits into one engine's context, by what its answers took. */
export interface ContextWindow {
  /** `prompt` and `answer` took so many tokens, or more than these. */
  learn(prompt: readonly ChatMessage[], answer: string, tokens: number): void
  /**
   * How many of the oldest turns to leave out, in whole exchanges, so that an answer has room. An estimate: only the
   * engine can count, and it refuses (`prompt-too-long`) where no room at all is left.
   */
  countForgotten(system: string | undefined, turns: readonly ChatTurn[], contextLength: number): number
}

export function createContextWindow(): ContextWindow {
  let tokensPerCharacter = 0
  return {
    learn(prompt, answer, tokens) {
      const characters = countCharacters(prompt) + answer.length
      if (characters > 0) tokensPerCharacter = tokens / characters
    },
    countForgotten(system, turns, contextLength) {
      const room = contextLength - answerTokens(contextLength)
      const fits = (first: number) =>
        countCharacters(toPrompt(system, turns.slice(first))) * tokensPerCharacter <= room
      let first = 0
      while (!fits(first)) {
        const next = findNextExchange(turns, first)
        if (next === undefined) return first
        first = next
      }
      return first
    },
  }
}

/** How much of the context an answer gets before the oldest exchanges are given up for it. */
const answerTokens = (contextLength: number) => Math.min(contextLength / 2, 1024)

function countCharacters(prompt: readonly ChatMessage[]): number {
  return prompt.reduce((sum, { content }) => sum + content.length, 0)
}

/** Where the exchange behind the one at `first` begins; undefined where there is none. */
export function findNextExchange(turns: readonly ChatTurn[], first: number): number | undefined {
  const next = turns.findIndex(({ role }, index) => index > first && role === 'user')
  return next === -1 ? undefined : next
}
