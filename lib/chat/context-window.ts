import type { ChatTurn } from '../chat.js'
import type { ChatMessage } from '../contract/request.js'

/** The messages to send to the model: the instructions, and the turns, except unanswered questions and empty answers. */
export function toPrompt(system: string | undefined, turns: readonly ChatTurn[]): ChatMessage[] {
  // Chat templates require that user and assistant turns alternate.
  const isAnswered = (index: number) => index === turns.length - 1 || hasText(turns[index + 1]!)
  const sent = turns.filter((turn, index) => (turn.role === 'user' ? isAnswered(index) : hasText(turn)))
  const messages = sent.map(({ role, text }): ChatMessage => ({ role, content: text }))
  return system === undefined ? messages : [{ role: 'system', content: system }, ...messages]
}

const hasText = ({ role, text }: ChatTurn) => role === 'assistant' && text !== ''

/** Estimates which part of a conversation fits into one engine's context, from the token counts of earlier answers. */
export interface ContextWindow {
  /** Takes the number of tokens that `prompt` and `answer` had, or a lower bound of it. */
  learn(prompt: readonly ChatMessage[], answer: string, tokens: number): void
  /**
   * Returns how many of the oldest turns to leave out, in whole exchanges, so that an answer has room. It is an estimate:
   * only the engine counts exactly, and it fails with `prompt-too-long` if there is no room at all.
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

/** How many tokens of the context are kept free for the answer, by leaving out the oldest exchanges. */
const answerTokens = (contextLength: number) => Math.min(contextLength / 2, 1024)

function countCharacters(prompt: readonly ChatMessage[]): number {
  return prompt.reduce((sum, { content }) => sum + content.length, 0)
}

/** The index of the next exchange after the one at `first`; undefined if there is none. */
export function findNextExchange(turns: readonly ChatTurn[], first: number): number | undefined {
  const next = turns.findIndex(({ role }, index) => index > first && role === 'user')
  return next === -1 ? undefined : next
}
