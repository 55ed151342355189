import { RivuletError } from '../contract/errors.js'
import type { ChatMessage, PromptOptions, Tool } from '../contract/request.js'
import type { Engine } from '../engine.js'
import { choosePromptOptions } from './answer.js'
import { createQuotaExceededError } from './exceptions.js'

/** The messages of a session, and how much of the context they take. */
export interface Conversation {
  readonly messages: readonly ChatMessage[]
  /** The tokens of all messages; 0 without messages. */
  readonly usage: number
  /** How many tokens the messages may take, so that an answer has room. Infinity if the engine knows no limit. */
  readonly window: number
  /** Counts the tokens of messages alone. */
  measure(messages: readonly ChatMessage[], signal?: AbortSignal): Promise<number>
  /**
   * Removes the oldest exchanges until `input` fits, but never the initial messages and the system prompt.
   * @returns true if something was removed
   * @throws `QuotaExceededError` if `input` cannot fit. Nothing is removed then
   */
  makeRoom(input: readonly ChatMessage[], signal: AbortSignal): Promise<boolean>
  /** Adds messages, and counts the conversation again. */
  add(messages: readonly ChatMessage[], signal: AbortSignal): Promise<void>
  /** Computes the conversation and `next` into the KV cache, so that the next answer starts sooner. */
  prefill(next: readonly ChatMessage[], signal: AbortSignal): Promise<void>
  /** Returns an independent copy. */
  copy(): Conversation
}

/** The most tokens of the context that are kept free for the answer. */
const maxAnswerTokens = 1024

/** Returns how many tokens the messages may take: at most a quarter of the context is kept free for the answer. */
function findWindow({ contextLength = Infinity }: Engine['info']): number {
  return contextLength - Math.min(Math.floor(contextLength / 4), maxAnswerTokens)
}

interface State {
  /** The initial messages, and a system prompt that came later. They are never removed. */
  readonly kept: readonly ChatMessage[]
  readonly history: readonly ChatMessage[]
  readonly usage: number
}

/**
 * Creates the conversation of a session.
 * @throws `QuotaExceededError` if the initial messages do not fit
 */
export async function startConversation(
  engine: Engine,
  tools: readonly Tool[],
  initial: readonly ChatMessage[],
  signal: AbortSignal,
): Promise<Conversation> {
  const conversation = createConversation(engine, tools, { kept: initial, history: [], usage: 0 })
  await conversation.makeRoom([], signal)
  await conversation.add([], signal)
  return conversation
}

function createConversation(engine: Engine, tools: readonly Tool[], first: State): Conversation {
  let state = first
  const window = findWindow(engine.info)
  // A recovery can change the engine's model.
  const promptOptions = () => choosePromptOptions(engine.info, tools)

  const measure = async (messages: readonly ChatMessage[], signal?: AbortSignal) =>
    messages.length === 0 ? 0 : countTokens(engine, messages, { ...promptOptions(), signal })

  return {
    get messages() {
      return [...state.kept, ...state.history]
    },
    get usage() {
      return state.usage
    },
    window,
    measure,
    async makeRoom(input, signal) {
      const { kept, history } = state
      const fits = async (start: number) =>
        (await measure([...kept, ...history.slice(start), ...input], signal)) <= window
      if (await fits(0)) return false
      const starts = listStarts(history, input)
      const last = starts.at(-1)!
      if (!(await fits(last))) throw await createOverflow(input, signal)
      let [from, to] = [0, starts.length - 1]
      while (from < to) {
        const middle = (from + to) >> 1
        if (await fits(starts[middle]!)) to = middle
        else from = middle + 1
      }
      const rest = history.slice(starts[from])
      state = { kept, history: rest, usage: await measure([...kept, ...rest], signal) }
      return true
    },
    async add(messages, signal) {
      const [head, ...others] = messages
      const isFirst = state.kept.length === 0 && state.history.length === 0
      const next =
        isFirst && head?.role === 'system'
          ? { kept: [head], history: others }
          : { kept: state.kept, history: [...state.history, ...messages] }
      const usage = await measure([...next.kept, ...next.history], signal)
      state = { ...next, usage }
    },
    async prefill(next, signal) {
      const messages = [...state.kept, ...state.history, ...next]
      if (messages.length === 0 || !engine.info.supports.prefill) return
      try {
        await engine.prefill(messages, { ...promptOptions(), signal })
      } catch {
        // The next answer computes its prompt itself, and reports what fails.
        signal.throwIfAborted()
      }
    },
    copy: () => createConversation(engine, tools, state),
  }

  async function createOverflow(input: readonly ChatMessage[], signal: AbortSignal): Promise<DOMException> {
    const isInitial = input.length === 0
    const requested = await measure(isInitial ? state.kept : input, signal)
    const quota = isInitial ? window : window - state.usage
    return createQuotaExceededError(
      `The ${isInitial ? 'initial prompts take' : 'prompt takes'} ${requested} tokens, and ${quota} are available. Shorten the text, or create another session.`,
      { requested, quota },
    )
  }
}

/** Returns where the history can start, from the oldest exchange to an empty history. */
function listStarts(history: readonly ChatMessage[], input: readonly ChatMessage[]): readonly number[] {
  const starts = history.flatMap(({ role }, index) => {
    const isStart = index === 0 || (role === 'user' && history[index - 1]!.role === 'assistant')
    return isStart ? [index] : []
  })
  // The result of a tool needs the call before it.
  return input[0]?.role === 'tool' ? starts : [...starts, history.length]
}

/** Counts tokens. Some templates demand that the last message is the user's: then an empty one is added. */
async function countTokens(
  engine: Engine,
  messages: readonly ChatMessage[],
  options: PromptOptions,
): Promise<number> {
  try {
    return await engine.countTokens(messages, options)
  } catch (error) {
    const isRefused = error instanceof RivuletError && error.code === 'chat-template-failed'
    if (!isRefused || messages.at(-1)?.role === 'user') throw error
    return engine.countTokens([...messages, { role: 'user', content: '' }], options)
  }
}
