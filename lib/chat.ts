import { checkChatOptions, checkQuestion, readTurns } from './chat/check-chat.js'
import { createEngineSlot } from './chat/engine-slot.js'
import { createListeners, type ChatListener } from './chat/listeners.js'
import { streamAnswer } from './chat/stream-answer.js'
import { refuse } from './contract/check-options.js'
import { RivuletError, type ErrorCode } from './contract/errors.js'
import type { SamplingOptions } from './contract/request.js'
import type { FinishReason } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { Usage } from './generation.js'
import type { Latency } from './latency.js'

export type { ChatListener } from './chat/listeners.js'

/** What `createChat` is told. */
export interface ChatOptions {
  /** What answers. While it is a promise that is pending, `send()` is taken, and its answer waits. */
  readonly engine: Engine | PromiseLike<Engine>
  /** Instructions that every request begins with. @default none */
  readonly system?: string | undefined
  /** An earlier chat's `messages`, also from JSON or a structured clone. @default none */
  readonly messages?: readonly ChatTurn[] | undefined
  /** For every answer; what a single `send()` is given goes before. @default the model's own */
  readonly sampling?: ChatSampling | undefined
}

/** How an answer's tokens are chosen and when it stops. */
export type ChatSampling = Omit<SamplingOptions, 'applyChatTemplate' | 'topLogprobs'>

/** One message of a chat. Plain data: JSON and structured clones give it back. */
export type ChatTurn = Question | Answer

/** What the user said. */
export interface Question {
  readonly id: string
  readonly role: 'user'
  readonly text: string
}

/** What the model says to it, up to now. */
export interface Answer {
  readonly id: string
  readonly role: 'assistant'
  readonly text: string
  readonly state: AnswerState
}

/**
 * How far an answer has come.
 *
 * - `waiting`: for the engine, its queue or the first token.
 * - `streaming`: the text grows.
 * - `finished`: `finishReason` says why; figures are missing where it was stopped before its engine had it.
 * - `failed`: the text is what was said before.
 */
export type AnswerState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'streaming' }
  | {
      readonly kind: 'finished'
      readonly finishReason: FinishReason
      readonly usage?: Usage | undefined
      readonly latency?: Latency | undefined
    }
  | { readonly kind: 'failed'; readonly error: { readonly code: ErrorCode; readonly message: string } }

/**
 * What a chat is doing.
 *
 * - `loading`: the engine is on its way; `send()` is taken already.
 * - `ready`
 * - `answering`: the last message is being written.
 * - `failed`: the last answer, or the engine that was on its way. `send()` and `regenerate()` try again.
 */
export type ChatStatus =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'answering' }
  | { readonly kind: 'failed'; readonly error: RivuletError }

/** A chat at one moment. Immutable; what has not changed is the same object as in the snapshot before. */
export interface ChatSnapshot {
  readonly messages: readonly ChatTurn[]
  readonly status: ChatStatus
  /** How many of the first messages the model is no longer sent, since its context does not hold them. */
  readonly forgottenMessages: number
}

/** A conversation, and the answer that is being written. A store for any framework: Svelte's contract, React's shape. */
export interface Chat {
  /** The same object until something changes. */
  getSnapshot(): ChatSnapshot
  /**
   * Calls `listener` at once, and after each change in a microtask of its own, which all changes up to it share: a hidden
   * tab is told as soon as a visible one. What it throws is an uncaught error, and disturbs nobody else.
   * @returns what ends it
   */
  subscribe(listener: ChatListener): () => void
  /**
   * Asks, and has the answer written. Where the model's context does not hold the whole conversation, the oldest exchanges
   * are left out; exchanges without an answer always are.
   * @returns the answer when it is over, in whatever way: never rejects
   * @throws RivuletError `invalid-option`, `chat-busy` while an answer is being written; nothing has changed then
   */
  send(text: string, sampling?: ChatSampling): Promise<Answer>
  /** Answers the last question again, in place of what is behind it. Otherwise as `send()`. */
  regenerate(sampling?: ChatSampling): Promise<Answer>
  /**
   * Has the last answer go on: one that was stopped, came to its length or failed in its middle. It keeps its id and its
   * text, and gets the state and figures of what is added. Otherwise as `send()`: with an engine that cannot go on
   * (`engine.info.canContinue`) it fails with `invalid-option`.
   */
  continue(sampling?: ChatSampling): Promise<Answer>
  /** Asks `text` in place of the question `id` and of all that is behind it. Otherwise as `send()`. */
  resend(id: string, text: string, sampling?: ChatSampling): Promise<Answer>
  /**
   * Ends the answer that is being written, and keeps what was said. Nothing else needs to be freed when a chat is left:
   * the engine is its owner's.
   * @returns when the chat takes the next question
   */
  stop(): Promise<void>
  /**
   * Another branch of the conversation, or `[]` for a new one; ends what is being written.
   * @throws RivuletError `invalid-option`
   */
  setMessages(messages: readonly ChatTurn[]): void
  /**
   * Answers come from this engine, beginning with the next one, or with one that still waits for the engine before.
   * @throws RivuletError `invalid-option`
   */
  setEngine(engine: Engine | PromiseLike<Engine>): void
}

/**
 * A chat's state, outside of any framework.
 *
 *     const chat = createChat({ engine: createEngine({ backend: onnx(), model }) })
 *     chat.subscribe(({ messages, status }) => render(messages, status))
 *     const answer = await chat.send('Tell me a story about a dragon.')
 *
 * @throws RivuletError `invalid-option`
 */
export function createChat(options: ChatOptions): Chat {
  checkChatOptions(options)
  const { system, sampling } = options
  const listeners = createListeners(() => snapshot)
  let running: AbortController | undefined
  let lastEnding: Promise<Answer> | undefined
  let snapshot: ChatSnapshot = {
    messages: readTurns(options.messages ?? []),
    status: { kind: 'loading' },
    forgottenMessages: 0,
  }
  const slot = createEngineSlot(options.engine, (status) => {
    if (!running) change({ status })
  })

  function change(changed: Partial<ChatSnapshot>): void {
    snapshot = { ...snapshot, ...changed }
    listeners.notify()
  }

  /**
   * Has the last of `turns` answered, behind them.
   * @param started what of the answer there is already
   */
  function answer(
    turns: readonly ChatTurn[],
    own: ChatSampling | undefined,
    started: Pick<Answer, 'id' | 'text'> = { id: drawId(), text: '' },
  ): Promise<Answer> {
    const { id, text: begun } = started
    const abort = new AbortController()
    const show = (text: string, state: AnswerState): Answer => ({ id, role: 'assistant', text, state })
    const waiting = show(begun, { kind: 'waiting' })
    const changeOwn = (changed: Partial<ChatSnapshot>) => {
      // Another branch can be shown by now.
      if (running === abort) change(changed)
    }
    running = abort
    change({ messages: [...turns, waiting], status: { kind: 'answering' } })
    const ending = streamAnswer({
      slot,
      system,
      turns: begun === '' ? turns : [...turns, waiting],
      begun,
      sampling: { ...sampling, ...own },
      signal: abort.signal,
      onForget(forgottenMessages) {
        if (forgottenMessages !== snapshot.forgottenMessages) changeOwn({ forgottenMessages })
      },
      onText: (text) => changeOwn({ messages: [...turns, show(text, { kind: 'streaming' })] }),
    }).then(({ text, state, error }) => {
      const ended = show(text, state)
      if (running !== abort) return ended
      running = undefined
      change({ messages: [...turns, ended], status: error ? { kind: 'failed', error } : slot.status })
      return ended
    })
    lastEnding = ending
    return ending
  }

  /** Has `text` answered behind `past`. */
  function ask(past: readonly ChatTurn[], text: string, own: ChatSampling | undefined): Promise<Answer> {
    checkTurn(text, own)
    return answer([...past, { id: drawId(), role: 'user', text }], own)
  }

  function checkTurn(text: string, own: ChatSampling | undefined): void {
    checkQuestion(text, { ...sampling, ...own })
    if (running) throw new RivuletError('chat-busy', 'An answer is being written. Wait for it, or stop() it.')
  }

  return {
    getSnapshot: () => snapshot,
    subscribe: listeners.add,
    send: (text, own) => ask(snapshot.messages, text, own),
    regenerate(own) {
      const { messages } = snapshot
      const last = messages.findLastIndex(({ role }) => role === 'user')
      if (last === -1) refuse('There is no question yet that could be answered again.')
      checkTurn(messages[last]!.text, own)
      return answer(messages.slice(0, last + 1), own)
    },
    continue(own) {
      const { messages } = snapshot
      const last = messages.at(-1)
      if (last?.role !== 'assistant') refuse('There is no answer yet that could go on.')
      checkTurn(last.text || '?', own)
      return answer(messages.slice(0, -1), own, last)
    },
    resend(id, text, own) {
      const { messages } = snapshot
      const asked = messages.findIndex((turn) => turn.id === id && turn.role === 'user')
      if (asked === -1) refuse('There is no question with this id.')
      return ask(messages.slice(0, asked), text, own)
    },
    async stop() {
      running?.abort()
      await lastEnding
    },
    setMessages(messages) {
      const turns = readTurns(messages)
      running?.abort()
      running = undefined
      change({ messages: turns, status: slot.status, forgottenMessages: 0 })
    },
    setEngine: slot.put,
  }
}

/** Of a message; unique within a chat, also on pages that are not secure. */
function drawId(): string {
  return crypto.getRandomValues(new Uint32Array(3)).join('-')
}
