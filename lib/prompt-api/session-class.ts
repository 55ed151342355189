import { RivuletError } from '../contract/errors.js'
import type { ChatMessage } from '../contract/request.js'
import type { Engine } from '../engine.js'
import type { LanguageModel, LanguageModelClass } from '../prompt-api.js'
import { generateAnswer, toResult, type Answer } from './answer.js'
import { startConversation, type Conversation } from './conversation.js'
import type {
  LanguageModelAnswerPart,
  LanguageModelAvailability,
  LanguageModelPromptOptions,
  LanguageModelSamplingMode,
  LanguageModelSignalOptions,
} from './dictionaries.js'
import { createException, describeLoadFailure, describePromptFailure, destroyedError } from './exceptions.js'
import type { ModelSlot } from './model-slot.js'
import { createProgress } from './progress.js'
import {
  readConstraint,
  readOptions,
  readSessionOptions,
  readSignal,
  toLanguage,
  wantsThoughts,
  type ReadConstraint,
  type SessionOptions,
} from './read-options.js'
import { readPrompt, type ReadPrompt } from './read-prompt.js'
import { createSessionQueue } from './session-queue.js'
import { createHeldStream, type HeldStream } from './text-stream.js'

/**
 * Creates the class of sessions that run on the engine of a slot.
 * @param languages the languages that sessions can expect; undefined for every language
 */
export function createSessionClass(
  slot: ModelSlot,
  languages: ReadonlySet<string> | undefined,
): LanguageModelClass {
  /** The streams that a reader may hold back. */
  const held = new Set<HeldStream<unknown>>()
  const releaseStreams = () => {
    for (const stream of held) stream.release()
  }

  /** Returns why a session with these options is impossible. @param engine the engine, if it is loaded */
  function findObstacle(
    { inputTypes, outputTypes, languages: expected, tools, wantsThoughts: isThinking }: SessionOptions,
    engine: Engine | undefined,
  ): string | undefined {
    const unread = [...inputTypes, ...outputTypes].find((type) => type === 'image' || type === 'audio')
    if (unread) return `The model has no ${unread}.`
    if (outputTypes.has('tool-response')) return 'A tool response cannot be an output.'
    if (isThinking) return 'Sessions have no thinking.'
    const unknown = languages && expected.find((tag) => !languages.has(toLanguage(tag)))
    if (unknown !== undefined) return `The language ${unknown} is not in "languages".`
    if (!engine) return undefined
    const { supports, backend } = engine.info
    if (!supports.inputs.includes('chat')) return 'The model has no chat template.'
    if (!supports.tokenCounting) return `${backend} cannot count tokens. Use onnx() or llamaCpp().`
    if (tools.length > 0 && !supports.options.includes('tools')) {
      return supports.hints?.tools ?? 'The model has no tools.'
    }
    return undefined
  }

  async function createSession(options: unknown): Promise<LanguageModel> {
    const read = readSessionOptions(options)
    const { initialPrompts, monitor } = readOptions(options)
    const signal = readSignal(options)
    signal?.throwIfAborted()
    const initial = readInitial(initialPrompts, read)
    const progress = createProgress(monitor)
    const unlock = slot.hold()
    try {
      return await createSessionQueue(releaseStreams).run(
        async (stopped) => {
          stopped.addEventListener('abort', progress.stop)
          const obstacle = findObstacle(read, slot.engine)
          if (obstacle !== undefined) throw createException('NotSupportedError', obstacle)
          progress.report(0)
          const engine = await slot.load(progress.report).catch((error: unknown) => {
            throw describeLoadFailure(error)
          })
          stopped.throwIfAborted()
          const late = findObstacle(read, engine)
          if (late !== undefined) throw createException('NotSupportedError', late)
          const conversation = await startConversation(engine, read.tools, initial, stopped).catch(
            (error: unknown) => {
              throw stopped.aborted ? error : toException(error, false)
            },
          )
          await conversation.prefill([], stopped)
          progress.report(1)
          stopped.throwIfAborted()
          return new Session(token, { engine, read, conversation, signal })
        },
        [signal],
      )
    } finally {
      progress.stop()
      unlock()
    }
  }

  class Session extends EventTarget implements LanguageModel {
    readonly #engine: Engine
    readonly #read: SessionOptions
    readonly #conversation: Conversation
    readonly #queue = createSessionQueue(releaseStreams)
    readonly #destroying = new AbortController()
    readonly #unlock = slot.hold()
    readonly #leave: () => void
    #later: unknown
    #onOverflow: ((event: Event) => void) | null = null

    constructor(key: symbol, start: SessionStart) {
      if (key !== token) throw new TypeError('Illegal constructor. Use LanguageModel.create().')
      super()
      this.#engine = start.engine
      this.#read = start.read
      this.#conversation = start.conversation
      const { signal } = start
      const leave = () => this.#end(signal?.reason, signal?.reason)
      signal?.addEventListener('abort', leave)
      this.#leave = () => signal?.removeEventListener('abort', leave)
    }

    static async availability(options?: unknown): Promise<LanguageModelAvailability> {
      const read = readSessionOptions(options)
      if (findObstacle(read, slot.engine) !== undefined) return 'unavailable'
      return slot.availability()
    }

    static create(options?: unknown): Promise<LanguageModel> {
      return createSession(options)
    }

    get contextUsage(): number {
      return this.#conversation.usage
    }

    get contextWindow(): number {
      return this.#conversation.window
    }

    get samplingMode(): LanguageModelSamplingMode {
      return this.#read.samplingMode
    }

    get oncontextoverflow(): ((event: Event) => void) | null {
      return this.#onOverflow
    }

    set oncontextoverflow(listener: ((event: Event) => void) | null) {
      if (this.#onOverflow) this.removeEventListener('contextoverflow', this.#onOverflow)
      this.#onOverflow = typeof listener === 'function' ? listener : null
      if (this.#onOverflow) this.addEventListener('contextoverflow', this.#onOverflow)
    }

    async prompt(input: unknown, options?: LanguageModelPromptOptions) {
      const signal = this.#check(options)
      const prompt = this.#readPrompt(input, options)
      return toResult(await this.#run((stopped) => this.#answer(prompt, async () => {}, stopped), [signal]))
    }

    promptStreaming(input: unknown, options?: LanguageModelPromptOptions) {
      const signal = this.#check(options)
      const isStructured = this.#read.outputTypes.has('tool-call')
      const texts = createHeldStream<string | LanguageModelAnswerPart>()
      const { stream, cancelled } = texts
      const write = (text: string) => texts.write(isStructured ? { type: 'text', value: text } : text)
      const start = async () => {
        const prompt = this.#readPrompt(input, options)
        const answer = async (stopped: AbortSignal) => {
          const { calls } = await this.#answer(prompt, write, stopped)
          for (const value of calls) await texts.write({ type: 'tool-call', value })
        }
        const running = this.#run(answer, [signal, cancelled])
        // Calls that come later release the stream.
        held.add(texts)
        await running.finally(() => held.delete(texts))
      }
      start().then(texts.close, texts.fail)
      return stream
    }

    async append(input: unknown, options?: LanguageModelSignalOptions): Promise<undefined> {
      const signal = this.#check(options)
      const { messages } = readPrompt(input, this.#read.inputTypes)
      return this.#run(
        async (stopped) => {
          await this.#makeRoom(messages, stopped)
          // An append that is aborted adds nothing.
          await this.#conversation.prefill(messages, stopped)
          await this.#conversation.add(messages, stopped)
          return undefined
        },
        [signal],
      )
    }

    async measureContextUsage(input: unknown, options?: LanguageModelPromptOptions): Promise<number> {
      const signal = this.#check(options)
      const { messages } = this.#readPrompt(input, options)
      const measure = (stopped: AbortSignal) => this.#conversation.measure(messages, stopped)
      // Counting does not wait for the session's answers.
      return this.#run(
        measure,
        [signal],
        createSessionQueue(() => {}),
      )
    }

    async clone(options?: LanguageModelSignalOptions): Promise<LanguageModel> {
      const signal = this.#check(options)
      const { signal: destroyed } = this.#destroying
      // One task, in which the clone can still be aborted.
      await new Promise((resolve) => setTimeout(resolve))
      signal?.throwIfAborted()
      destroyed.throwIfAborted()
      const start = { engine: this.#engine, read: this.#read, conversation: this.#conversation.copy() }
      return new Session(token, start)
    }

    destroy(): void {
      this.#end(createException('AbortError', 'The session was destroyed.'), destroyedError())
    }

    /**
     * Ends the session.
     * @param reason the reason with which running calls fail
     * @param later the error of later calls
     */
    #end(reason: unknown, later: unknown): void {
      if (this.#destroying.signal.aborted) return
      this.#later = later
      this.#leave()
      this.#destroying.abort(reason)
      this.#unlock()
    }

    /** Checks that a call is possible. @returns the signal of the call */
    #check(options: unknown): AbortSignal | undefined {
      const signal = readSignal(options)
      if (this.#destroying.signal.aborted) throw this.#later
      signal?.throwIfAborted()
      return signal
    }

    #run<Result>(
      operation: (signal: AbortSignal) => Promise<Result>,
      signals: readonly (AbortSignal | undefined)[],
      queue = this.#queue,
    ): Promise<Result> {
      return queue.run(operation, [...signals, this.#destroying.signal])
    }

    #readPrompt(input: unknown, options: LanguageModelPromptOptions | undefined): Prompt {
      if (wantsThoughts(options)) throw createException('NotSupportedError', 'Sessions have no thinking.')
      const constraint = readConstraint(options)
      const read = readPrompt(input, this.#read.inputTypes)
      return { ...read, messages: addInstruction(read, constraint?.instruction), constraint }
    }

    async #answer(
      { messages, isPrefix, constraint }: Prompt,
      emit: (text: string) => Promise<void>,
      signal: AbortSignal,
    ): Promise<Answer> {
      const { samplingMode, tools } = this.#read
      const conversation = this.#conversation
      try {
        await this.#makeRoom(messages, signal)
        const all = [...conversation.messages, ...messages]
        const request = { messages: all, isPrefix, constraint, samplingMode, tools }
        const answer = await generateAnswer(this.#engine, request, emit, signal)
        await conversation.add(joinAnswer(messages, isPrefix, answer), signal)
        return answer
      } catch (error) {
        signal.throwIfAborted()
        throw toException(error, constraint !== undefined)
      }
    }

    async #makeRoom(messages: readonly ChatMessage[], signal: AbortSignal): Promise<void> {
      if (messages[0]?.role === 'system' && this.#conversation.messages.length > 0) {
        throw new TypeError('A system prompt must be the first message of the session.')
      }
      try {
        if (await this.#conversation.makeRoom(messages, signal)) {
          this.dispatchEvent(new Event('contextoverflow'))
        }
      } catch (error) {
        signal.throwIfAborted()
        throw toException(error, false)
      }
    }
  }

  Object.defineProperty(Session, 'name', { value: 'LanguageModel' })
  // Cast: the constructor is not for callers, and each method reads its arguments as Web IDL does.
  return Session as unknown as LanguageModelClass
}

/** Only this module can create sessions. */
const token = Symbol('session')

/** What a new session starts with. */
interface SessionStart {
  readonly engine: Engine
  readonly read: SessionOptions
  readonly conversation: Conversation
  /** Destroys the session when it aborts. */
  readonly signal?: AbortSignal | undefined
}

/** A prompt with its constraint. */
interface Prompt extends ReadPrompt {
  readonly constraint: ReadConstraint | undefined
}

function readInitial(initialPrompts: unknown, { inputTypes }: SessionOptions): readonly ChatMessage[] {
  if (initialPrompts === undefined) return []
  if (typeof initialPrompts !== 'object' || initialPrompts === null) {
    throw new TypeError('"initialPrompts" must be a list of messages.')
  }
  const list = [...(initialPrompts as Iterable<unknown>)]
  return list.length === 0 ? [] : readPrompt(list, inputTypes).messages
}

/** Adds the text of a constraint to the last message of the user, so that templates with alternating turns take it. */
function addInstruction({ messages }: ReadPrompt, instruction: string | undefined): readonly ChatMessage[] {
  if (instruction === undefined) return messages
  const last = messages.findLastIndex(({ role }) => role === 'user')
  if (last === -1) return [{ role: 'user', content: instruction }, ...messages]
  return messages.map((message, index) =>
    index === last && message.role === 'user'
      ? { ...message, content: `${String(message.content)}\n\n${instruction}` }
      : message,
  )
}

/** Returns a prompt and its answer, as the conversation keeps them. */
function joinAnswer(
  messages: readonly ChatMessage[],
  isPrefix: boolean,
  { message }: Answer,
): readonly ChatMessage[] {
  if (!isPrefix) return [...messages, message]
  const start = String(messages.at(-1)?.content ?? '')
  return [...messages.slice(0, -1), { ...message, content: start + String(message.content) }]
}

/** Returns the platform's exception for a failure. */
function toException(error: unknown, isConstrained: boolean): unknown {
  return error instanceof RivuletError ? describePromptFailure(error, isConstrained) : error
}
