import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { AnswerContent } from './chat/answer-content.js'
import { checkAnswerOptions, checkChatOptions, checkQuestion, readTurns } from './chat/check-chat.js'
import { createEngineSlot } from './chat/engine-slot.js'
import { createListeners, type ChatListener } from './chat/listeners.js'
import { prepareAnswer, streamAnswer } from './chat/stream-answer.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { RivuletError, type ErrorCode } from './contract/errors.js'
import type { AnswerOptions, JsonSchema, PrefillOptions, SamplingOptions, Tool } from './contract/request.js'
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
  /**
   * The tools that the model can call. The chat runs their functions and sends the results back to the model, until it answers
   * without a call. Nothing else runs. @default none
   */
  readonly tools?: readonly ChatTool[] | undefined
  /** How often the model can call tools in one answer; at least 1. After that it must answer without them. @default 8 */
  readonly maxToolRounds?: number | undefined
}

/**
 * Options for an answer. A demanded call (`toolChoice`) is demanded only of the first round of an answer.
 */
export type ChatSampling = Omit<SamplingOptions, 'topLogprobs'> &
  Pick<AnswerOptions, 'toolChoice' | 'parallelToolCalls' | 'reasoning' | 'responseFormat'>

/** A tool with the function that a chat runs. `defineTool` gives the function the type of its arguments. */
export interface ChatTool<
  Parameters extends JsonSchema | StandardSchemaV1 = JsonSchema | StandardSchemaV1,
> extends Tool {
  /**
   * A Standard Schema, which must be able to give its JSON schema: the arguments are validated before the function runs. Or a
   * JSON schema: then only the engine holds the model to it, and the function must check its arguments itself.
   * @default an object without properties
   */
  readonly parameters?: Parameters | undefined
  /**
   * Runs one call. Several calls can run at the same time. A thrown error becomes the result `Error: …`, which the model reads.
   * @param input the arguments: an object, or the output of the Standard Schema
   * @returns the result, or a promise for it. The model reads a string as it is, and any other value as JSON
   */
  run(input: ToolInput<Parameters>, context: ToolContext): unknown
}

/** The type of a tool's arguments. */
export type ToolInput<Parameters> = Parameters extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<Parameters>
  : unknown

/** What a tool's function gets besides its arguments. */
export interface ToolContext {
  /** Aborts when the answer is stopped. The chat does not wait for the function then. */
  readonly signal: AbortSignal
  readonly callId: string
}

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
  /** The text of the last round. */
  readonly text: string
  /** The reasoning before `text`; missing if there is none. */
  readonly reasoning?: string
  /** The rounds in which the model called tools, before `text`; missing if it called none. */
  readonly rounds?: readonly ToolRound[]
  /**
   * The value of the option `responseFormat` so far, as the model wrote it: before transforms of a schema. Missing without the
   * option and before the value starts. It grows as `stream.partialValues()` does. It is complete and valid if the answer
   * finished with `stop`.
   */
  readonly value?: unknown
  readonly state: AnswerState
}

/** A round of an answer in which the model called tools. */
export interface ToolRound {
  /** The text before the calls; mostly empty. */
  readonly text: string
  /** The reasoning before the calls; missing if there is none. */
  readonly reasoning?: string
  /** Not empty. */
  readonly calls: readonly ChatToolCall[]
}

/** A tool call, and what became of it. */
export interface ChatToolCall {
  readonly id: string
  readonly name: string
  /** The arguments as the model wrote them: a JSON text. */
  readonly arguments: string
  readonly state: ToolCallState
}

/**
 * The state of a tool call.
 *
 * - `streaming`: the model writes the arguments.
 * - `running`: the function runs.
 * - `finished`: `result` is what the model reads.
 * - `failed`: the function threw an error, the arguments were not valid, there is no such tool, or the answer ended before.
 *   The model reads `Error: ` and `message`.
 */
export type ToolCallState =
  | { readonly kind: 'streaming' }
  | { readonly kind: 'running' }
  | { readonly kind: 'finished'; readonly result: string }
  | { readonly kind: 'failed'; readonly message: string }

/**
 * The state of an answer.
 *
 * - `waiting`: the answer waits for the engine, for the engine's queue or for the first token.
 * - `streaming`: the answer grows, or its tools run.
 * - `finished`: `finishReason` says why the answer ended. `usage` and `latency` describe its last round. They are missing if
 *   the answer was stopped before its first round started.
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
   * its id, its text so far and its rounds. The continued text calls no tools; an answer without a text is written again after
   * its last round. Its new state, `usage` and `latency` describe only the added part. Otherwise like `send()`.
   * If the engine cannot continue answers (`engine.info.supports.continuation`), the answer fails with `invalid-option`.
   */
  continue(sampling?: ChatSampling): Promise<Answer>
  /**
   * Replaces the question that has this `id`, and everything after that question, with the question `text`. Otherwise like
   * `send()`.
   */
  resend(id: string, text: string, sampling?: ChatSampling): Promise<Answer>
  /**
   * Computes the conversation so far ahead of the next question, so that its answer starts sooner. Call it when the user starts
   * to type, or after `setMessages()`. It does nothing while an answer is being written, and with an engine that cannot do it
   * (`engine.info.supports.prefill`). `send()` interrupts it, and uses what is computed.
   * @param options `keepPrefix: true` also keeps the computed conversation in the model store, if the engine can
   *   (`engine.info.supports.keptPrefixes`): after a reload, a chat with the same messages need not compute it again
   * @returns a promise that resolves when this has ended; rejects only with `invalid-option`, for an unknown option
   */
  prepare(options?: Pick<PrefillOptions, 'keepPrefix'>): Promise<void>
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
  let { system, sampling, tools = [], maxToolRounds = 8 } = options
  const listeners = createListeners(() => snapshot)
  let running: AbortController | undefined
  let preparing: AbortController | undefined
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
    { id, text, reasoning, rounds }: Omit<Answer, 'role' | 'state'> = { id: drawId(), text: '' },
  ): Promise<Answer> {
    const partial = { text, ...(reasoning !== undefined && { reasoning }), ...(rounds && { rounds }) }
    const abort = new AbortController()
    const show = (content: AnswerContent, state: AnswerState): Answer => ({
      id,
      role: 'assistant',
      ...content,
      state,
    })
    const waiting = show(partial, { kind: 'waiting' })
    const changeIfRunning = (changed: Partial<ChatSnapshot>) => {
      // `setMessages()` may have replaced the messages since this answer started.
      if (running === abort) change(changed)
    }
    preparing?.abort()
    running = abort
    change({ messages: [...turns, waiting], status: { kind: 'answering' } })
    const ending = streamAnswer({
      slot,
      system: system === '' ? undefined : system,
      turns,
      partial,
      sampling: { ...sampling, ...overrides },
      tools,
      maxToolRounds,
      signal: abort.signal,
      onForget(forgottenMessages) {
        if (forgottenMessages !== snapshot.forgottenMessages) changeIfRunning({ forgottenMessages })
      },
      onContent: (content) => changeIfRunning({ messages: [...turns, show(content, { kind: 'streaming' })] }),
    }).then(({ content, state, error }) => {
      const ended = show(content, state)
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
    checkQuestion(text, { ...sampling, ...overrides }, tools)
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
    async prepare(wanted = {}) {
      refuseUnknown('prepare()', wanted, ['keepPrefix'])
      const { keepPrefix = false } = wanted
      if (typeof keepPrefix !== 'boolean') refuse('"keepPrefix" must be true or false.', 'keepPrefix')
      if (running) return
      preparing?.abort()
      const abort = new AbortController()
      preparing = abort
      try {
        const request = {
          slot,
          system: system === '' ? undefined : system,
          turns: snapshot.messages,
          sampling: sampling ?? {},
          tools,
          maxToolRounds,
          signal: abort.signal,
        }
        await prepareAnswer(request, keepPrefix)
      } catch {
        // The next answer computes its prompt itself, and reports what fails.
      }
    },
    async stop() {
      running?.abort()
      await lastEnding
    },
    setMessages(messages) {
      const turns = readTurns(messages)
      preparing?.abort()
      running?.abort()
      running = undefined
      change({ messages: turns, status: slot.status, forgottenMessages: 0 })
    },
    setEngine: slot.put,
    setOptions(changed) {
      checkAnswerOptions(changed)
      ;({ system, sampling, tools = [], maxToolRounds = 8 } = changed)
    },
  }
}

/**
 * Returns the tool unchanged. Gives its function the type of the arguments that its schema describes.
 *
 *     const add = defineTool({
 *       name: 'add',
 *       parameters: z.object({ a: z.number(), b: z.number() }),
 *       run: ({ a, b }) => a + b,
 *     })
 */
export function defineTool<Parameters extends JsonSchema | StandardSchemaV1>(
  tool: ChatTool<Parameters>,
): ChatTool<Parameters> {
  return tool
}

/** Returns a random id for a message. Works on insecure pages too, unlike `crypto.randomUUID`. */
function drawId(): string {
  return crypto.getRandomValues(new Uint32Array(3)).join('-')
}
