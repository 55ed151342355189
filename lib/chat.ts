import { checkAnswerOptions, checkChatOptions, checkQuestion, readTurns } from './chat/check-chat.js'
import { createEngineSlot } from './chat/engine-slot.js'
import { createListeners, type ChatListener } from './chat/listeners.js'
import { streamAnswer } from './chat/stream-answer.js'
import { refuse } from './contract/check-options.js'
import { RivuletError, type ErrorCode } from './contract/errors.js'
import type { SamplingOptions } from './contract/request.js'
import type { FinishReason } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { Usage } from './generation-tally.js'
import type { Latency } from './latency.js'

export type { ChatListener } from './chat/listeners.js'

/** Options of `createChat`. */
export interface ChatOptions extends ChatAnswerOptions {
  /** The engine that answers, or a promise for it. While the promise is pending, `send()` works, and the answer waits. */
  readonly engine: Engine | PromiseLike<Engine>
  /** The `messages` of an earlier chat. They may have been stored as JSON or structured-cloned. @default none */
  readonly messages?: readonly ChatTurn[] | undefined
}

/** How a chat's answers are generated. */
export interface ChatAnswerOptions {
  /** Instructions at the start of every request. An empty text means none. @default none */
  readonly system?: string | undefined
  /** Options for every answer. The options of a single `send()` override them. @default the model's defaults */
  readonly sampling?: ChatSampling | undefined
}

/** Sampling options for an answer. */
export type ChatSampling = Omit<SamplingOptions, 'applyChatTemplate' | 'topLogprobs'>

/** One message of a chat. Plain data that survives JSON and structured cloning. */
export type ChatTurn = Question | Answer

/** A message of the user. */
export interface Question {
  readonly id: string
  readonly role: 'user'
  readonly text: string
}

/** The model's answer so far. */
export interface Answer {
  readonly id: string
  readonly role: 'assistant'
  readonly text: string
  readonly state: AnswerState
}

/**
 * The state of an answer.
 *
 * - `waiting`: the answer waits for the engine, for the engine's queue or for the first token.
 * - `streaming`: the text grows.
 * - `finished`: `finishReason` says why the answer ended. `usage` and `latency` are missing if the answer was stopped
 *   before the engine was ready.
 * - `failed`: the message's `text` is the text that was generated before the failure.
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
 * The state of a chat.
 *
 * - `loading`: the engine is loading. `send()` already works.
 * - `ready`: the engine is loaded, and no answer is being written.
 * - `answering`: the last message is being written.
 * - `failed`: the last answer failed, or the engine failed to load. After a failed answer, `send()` and `regenerate()` try
 *   again. After a failed load, pass another engine to `setEngine()` first.
 */
export type ChatStatus =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'answering' }
  | { readonly kind: 'failed'; readonly error: RivuletError }

/** A chat at one moment. Immutable: unchanged parts are the same objects as in the previous snapshot. */
export interface ChatSnapshot {
  readonly messages: readonly ChatTurn[]
  readonly status: ChatStatus
  /** The number of oldest messages that are no longer sent to the model, because they do not fit into the context. */
  readonly forgottenMessages: number
}

/** A conversation and its running answer. Works as a Svelte store and with React's `useSyncExternalStore`. */
export interface Chat {
  /** Returns the current snapshot: the same object until something changes. */
  getSnapshot(): ChatSnapshot
  /**
   * Calls `listener` at once, and again in a microtask after each change. Changes before that microtask share one call. No
   * timers are used, so a hidden tab gets changes as fast as a visible one. An error that the listener throws is reported
   * as uncaught, and does not affect other listeners.
   * @returns a function that unsubscribes
   */
  subscribe(listener: ChatListener): () => void
  /**
   * Adds a question and streams the answer. If the conversation does not fit into the model's context, the oldest exchanges
   * are not sent. Exchanges without an answer are never sent.
   * @returns the answer when it has finished, failed or been stopped; never rejects
   * @throws RivuletError `invalid-option`; `chat-busy` while an answer is being written. The chat is then unchanged.
   */
  send(text: string, sampling?: ChatSampling): Promise<Answer>
  /** Answers the last question again, and replaces everything after it. Otherwise like `send()`. */
  regenerate(sampling?: ChatSampling): Promise<Answer>
  /**
   * Continues the last answer, for example an answer that was stopped, reached its length limit or failed. The answer keeps
   * its id and its text so far. Its new state, `usage` and `latency` describe only the added part. Otherwise like `send()`.
   * If the engine cannot continue answers (`engine.info.supports.continuation`), the answer fails with `invalid-option`.
   */
  continue(sampling?: ChatSampling): Promise<Answer>
  /**
   * Replaces the question that has this `id`, and everything after that question, with the question `text`. Otherwise like
   * `send()`.
   */
  resend(id: string, text: string, sampling?: ChatSampling): Promise<Answer>
  /**
   * Cancels the running answer, and keeps its text so far. A chat needs no other cleanup. A chat never disposes its engine.
   * @returns a promise that resolves when the chat can take the next question
   */
  stop(): Promise<void>
  /**
   * Replaces the messages, for example with another branch of the conversation, or with `[]` for a new conversation.
   * Cancels the running answer.
   * @throws RivuletError `invalid-option`
   */
  setMessages(messages: readonly ChatTurn[]): void
  /**
   * Uses this engine from the next answer on. An answer that still waits for the previous engine uses the new one.
   * @throws RivuletError `invalid-option`
   */
  setEngine(engine: Engine | PromiseLike<Engine>): void
  /**
   * Replaces the options for answers, from the next answer on. An option that is left out gets its default.
   * @throws RivuletError `invalid-option`; the chat then keeps its options
   */
  setOptions(options: ChatAnswerOptions): void
}

/**
 * Creates a chat: its state and functions, independent of any framework.
 *
 *     const chat = createChat({ engine: createEngine({ backend: onnx(), model }) })
 *     chat.subscribe(({ messages, status }) => render(messages, status))
 *     const answer = await chat.send('Tell me a story about a dragon.')
 *
 * @throws RivuletError `invalid-option`
 */
export function createChat(options: ChatOptions): Chat {
  checkChatOptions(options)
  let { system, sampling } = options
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
   * Streams an answer to the last of `turns`.
   * @param partial the answer to continue; by default a new, empty answer
   */
  function answer(
    turns: readonly ChatTurn[],
    overrides: ChatSampling | undefined,
    partial: Pick<Answer, 'id' | 'text'> = { id: drawId(), text: '' },
  ): Promise<Answer> {
    const { id, text: partialText } = partial
    const abort = new AbortController()
    const show = (text: string, state: AnswerState): Answer => ({ id, role: 'assistant', text, state })
    const waiting = show(partialText, { kind: 'waiting' })
    const changeIfRunning = (changed: Partial<ChatSnapshot>) => {
      // `setMessages()` may have replaced the messages since this answer started.
      if (running === abort) change(changed)
    }
    running = abort
    change({ messages: [...turns, waiting], status: { kind: 'answering' } })
    const ending = streamAnswer({
      slot,
      system: system === '' ? undefined : system,
      turns: partialText === '' ? turns : [...turns, waiting],
      partialText,
      sampling: { ...sampling, ...overrides },
      signal: abort.signal,
      onForget(forgottenMessages) {
        if (forgottenMessages !== snapshot.forgottenMessages) changeIfRunning({ forgottenMessages })
      },
      onText: (text) => changeIfRunning({ messages: [...turns, show(text, { kind: 'streaming' })] }),
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

  /** Adds the question `text` after the turns in `past`, and streams the answer. */
  function ask(
    past: readonly ChatTurn[],
    text: string,
    overrides: ChatSampling | undefined,
  ): Promise<Answer> {
    checkTurn(text, overrides)
    return answer([...past, { id: drawId(), role: 'user', text }], overrides)
  }

  function checkTurn(text: string, overrides: ChatSampling | undefined): void {
    checkQuestion(text, { ...sampling, ...overrides })
    if (running)
      throw new RivuletError('chat-busy', 'An answer is being written. Wait for it, or call stop().')
  }

  return {
    getSnapshot: () => snapshot,
    subscribe: listeners.add,
    send: (text, overrides) => ask(snapshot.messages, text, overrides),
    regenerate(overrides) {
      const { messages } = snapshot
      const last = messages.findLastIndex(({ role }) => role === 'user')
      if (last === -1) refuse('There is no question to answer again. Call send() first.')
      checkTurn(messages[last]!.text, overrides)
      return answer(messages.slice(0, last + 1), overrides)
    },
    continue(overrides) {
      const { messages } = snapshot
      const last = messages.at(-1)
      if (last?.role !== 'assistant') refuse('There is no answer to continue. Call send() first.')
      checkTurn(last.text || '?', overrides)
      return answer(messages.slice(0, -1), overrides, last)
    },
    resend(id, text, overrides) {
      const { messages } = snapshot
      const asked = messages.findIndex((turn) => turn.id === id && turn.role === 'user')
      if (asked === -1) refuse('There is no question with this id.', 'id')
      return ask(messages.slice(0, asked), text, overrides)
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
    setOptions(changed) {
      checkAnswerOptions(changed)
      ;({ system, sampling } = changed)
    },
  }
}

/** Returns a random id for a message. Works on insecure pages too, unlike `crypto.randomUUID`. */
function drawId(): string {
  return crypto.getRandomValues(new Uint32Array(3)).join('-')
}
