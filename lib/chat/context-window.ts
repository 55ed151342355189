import type { ChatToolCall, ChatTurn, ToolRound } from '../chat.js'
import type { ChatMessage, PromptOptions } from '../contract/request.js'
import type { Engine } from '../engine.js'
import { isObjectText } from '../is-object-text.js'

/**
 * Returns the messages to send to the model: the system instructions and the turns, without empty answers and without
 * earlier questions that have no answer.
 * @param takesTools false for a model without tools: then the rounds in which earlier answers called tools are left out
 */
export function toPrompt(
  system: string | undefined,
  turns: readonly ChatTurn[],
  takesTools = true,
): ChatMessage[] {
  // Chat templates require that user and assistant turns alternate.
  const hasContent = (turn: ChatTurn) =>
    turn.role === 'assistant' && (turn.text !== '' || (takesTools && turn.rounds !== undefined))
  const isAnswered = (index: number) => index === turns.length - 1 || hasContent(turns[index + 1]!)
  const sent = turns.filter((turn, index) => (turn.role === 'user' ? isAnswered(index) : hasContent(turn)))
  const messages = sent.flatMap((turn) => toMessages(turn, takesTools))
  return system === undefined ? messages : [{ role: 'system', content: system }, ...messages]
}

function toMessages(turn: ChatTurn, takesTools: boolean): readonly ChatMessage[] {
  if (turn.role === 'user') return [{ role: 'user', content: turn.text }]
  const { rounds = [], text, reasoning } = turn
  const called = takesTools ? rounds.flatMap(toRoundMessages) : []
  return text === '' ? called : [...called, { role: 'assistant', content: text, ...toReasoning(reasoning) }]
}

const toReasoning = (reasoning: string | undefined) =>
  reasoning !== undefined && { reasoning_content: reasoning }

/** Returns the messages of a round: the calls, and one result for each. */
function toRoundMessages({ text, reasoning, calls }: ToolRound): readonly ChatMessage[] {
  return [
    {
      role: 'assistant',
      content: text,
      ...toReasoning(reasoning),
      tool_calls: calls.map(({ id, name, arguments: args }) => ({
        id,
        type: 'function',
        function: { name, arguments: isObjectText(args) ? args : '{}' },
      })),
    },
    ...calls.map((call) => ({ role: 'tool', tool_call_id: call.id, content: writeResult(call) }) as const),
  ]
}

function writeResult({ state, arguments: args }: ChatToolCall): string {
  if (state.kind === 'finished') return state.result
  const message = state.kind === 'failed' ? state.message : 'The call was not run.'
  // The message of the call has no arguments then, so the model learns here what it wrote.
  return `Error: ${message}${isObjectText(args) ? '' : ` The arguments were: ${args}`}`
}

/** Chooses which part of a conversation fits into one engine's context. */
export interface ContextWindow {
  /**
   * Updates the estimate from the number of tokens in `prompt` and `answer` together, or a lower bound of it. Only an engine
   * that cannot count tokens needs the estimate.
   */
  learn(prompt: readonly ChatMessage[], answer: string, tokens: number): void
  /**
   * Returns how many of the oldest turns to leave out, in whole exchanges, so that an answer has room. The engine counts the
   * tokens if it can. Otherwise the number is an estimate, and the engine can still fail with `prompt-too-long`.
   * @throws RivuletError the errors of `engine.countTokens`; the reason of `options.signal`
   */
  countForgotten(
    engine: Pick<Engine, 'info' | 'countTokens'>,
    conversation: Conversation,
    options: PromptOptions,
  ): Promise<number>
}

/** What a chat sends to the engine. */
interface Conversation {
  readonly system: string | undefined
  readonly turns: readonly ChatTurn[]
  /** False for a model without tools, as in `toPrompt`. */
  readonly takesTools: boolean
}

export function createContextWindow(): ContextWindow {
  let tokensPerCharacter = 0
  return {
    learn(prompt, answer, tokens) {
      const characters = countCharacters(prompt) + answer.length
      if (characters > 0) tokensPerCharacter = tokens / characters
    },
    async countForgotten(engine, { system, turns, takesTools }, options) {
      const { contextLength = Infinity, supports } = engine.info
      if (contextLength === Infinity) return 0
      const room = contextLength - answerTokens(contextLength)
      const count = async (prompt: readonly ChatMessage[]) =>
        supports.tokenCounting
          ? engine.countTokens(prompt, options)
          : countCharacters(prompt) * tokensPerCharacter
      const fits = async (first: number) =>
        (await count(toPrompt(system, turns.slice(first), takesTools))) <= room
      const starts = listExchanges(turns)
      // Most conversations fit.
      if (starts.length === 0 || (await fits(0))) return 0
      // The last exchange is always sent.
      let [from, to] = [0, starts.length - 1]
      while (from < to) {
        const middle = (from + to) >> 1
        if (await fits(starts[middle]!)) to = middle
        else from = middle + 1
      }
      return starts[from]!
    },
  }
}

/** Returns how many tokens of the context to keep free for the answer, by leaving out the oldest exchanges. */
const answerTokens = (contextLength: number) => Math.min(contextLength / 2, 1024)

function countCharacters(prompt: readonly ChatMessage[]): number {
  const count = (message: ChatMessage) => {
    const { reasoning_content = '', tool_calls = [] } = message.role === 'assistant' ? message : {}
    const texts = [message.content, reasoning_content, ...tool_calls.map((call) => call.function.arguments)]
    return texts.reduce((sum, text) => sum + (text?.length ?? 0), 0)
  }
  return prompt.reduce((sum, message) => sum + count(message), 0)
}

/** Returns the indices at which the exchanges after the first one start. */
function listExchanges(turns: readonly ChatTurn[]): readonly number[] {
  return turns.flatMap(({ role }, index) => (index > 0 && role === 'user' ? [index] : []))
}

/** Returns the index at which the next exchange after `first` starts; undefined if no exchange follows. */
export function findNextExchange(turns: readonly ChatTurn[], first: number): number | undefined {
  return listExchanges(turns).find((start) => start > first)
}
