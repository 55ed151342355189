import type { ChatMessage, Usage } from 'rivulet'

/** A question and what was answered, whole or cut short. */
interface Exchange {
  readonly question: string
  readonly answer: string
}

/** What was said since the last "New chat". */
export interface Chat {
  readonly exchanges: Exchange[]
  /** How many of the oldest exchanges are no longer sent. */
  forgotten: number
  /** How many tokens the last request's texts took; undefined before one is over. */
  measured: { readonly characters: number; readonly tokens: number } | undefined
}

export function startChat(): Chat {
  return { exchanges: [], forgotten: 0, measured: undefined }
}

/** What the model is sent: the exchanges it still remembers, and the new question. */
export function toMessages({ exchanges, forgotten }: Chat, question: string): ChatMessage[] {
  return [
    ...exchanges.slice(forgotten).flatMap((exchange): ChatMessage[] => [
      { role: 'user', content: exchange.question },
      { role: 'assistant', content: exchange.answer },
    ]),
    { role: 'user', content: question },
  ]
}

export function measure(messages: readonly ChatMessage[], answer: string, usage: Usage): Chat['measured'] {
  return {
    characters: countCharacters(messages) + answer.length,
    tokens: usage.promptTokens + usage.completionTokens,
  }
}

/** How much of the context an answer gets before the oldest exchanges are given up for it. */
const answerTokens = (contextLength: number) => Math.min(contextLength / 2, 1024)

/**
 * How many more of the oldest exchanges to leave out so that an answer has room. An estimate, from what the last
 * request took: only the engine can count, and it refuses (`prompt-too-long`) when no room at all is left.
 */
export function countForgotten(chat: Chat, question: string, contextLength = Infinity): number {
  const { exchanges, forgotten, measured } = chat
  if (!measured) return 0
  const tokensPerCharacter = measured.tokens / measured.characters
  const room = contextLength - answerTokens(contextLength)
  const fits = (first: number) =>
    countCharacters(toMessages({ ...chat, forgotten: first }, question)) * tokensPerCharacter <= room
  let first = forgotten
  while (first < exchanges.length && !fits(first)) first += 1
  return first - forgotten
}

function countCharacters(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, { content }) => sum + content.length, 0)
}
