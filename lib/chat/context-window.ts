import type { ChatTurn } from '../chat.js'
import type { ChatMessage } from '../contract/request.js'

/**
 * Returns the messages to send to the model: the system instructions and the turns, without empty answers and without
 * earlier questions that have no answer.
 */
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
  /** Updates the estimate from the number of tokens in `prompt` and `answer` together, or a lower bound of it. */
  learn(prompt: readonly ChatMessage[], answer: string, tokens: number): void
  /**
   * Returns how many of the oldest turns to leave out, in whole exchanges, so that an answer has room. The number is an
   * estimate. Only the engine counts exactly, and it fails with `prompt-too-long` if there is no room at all.
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

/** Returns how many tokens of the context to keep free for the answer, by leaving out the oldest exchanges. */
const answerTokens = (contextLength: number) => Math.min(contextLength / 2, 1024)

function countCharacters(prompt: readonly ChatMessage[]): number {
  return prompt.reduce((sum, { content }) => sum + (content?.length ?? 0), 0)
}

/** Returns the index at which the next exchange after `first` starts; undefined if no exchange follows. */
export function findNextExchange(turns: readonly ChatTurn[], first: number): number | undefined {
  const next = turns.findIndex(({ role }, index) => index > first && role === 'user')
  return next === -1 ? undefined : next
}
