import { refuse, refuseUnknown } from './contract/check-options.js'
import type {
  LanguageModelAnswerPart,
  LanguageModelAvailability,
  LanguageModelCreateCoreOptions,
  LanguageModelCreateOptions,
  LanguageModelPrompt,
  LanguageModelPromptOptions,
  LanguageModelSamplingMode,
  LanguageModelSignalOptions,
} from './prompt-api/dictionaries.js'
import { createModelSlot, type EngineSource } from './prompt-api/model-slot.js'
import { toLanguage } from './prompt-api/read-options.js'
import { createSessionClass } from './prompt-api/session-class.js'
import {
  LanguageModelToolCall,
  LanguageModelToolError,
  LanguageModelToolSuccess,
} from './prompt-api/tool-values.js'

export { LanguageModelToolCall, LanguageModelToolError, LanguageModelToolSuccess }
export type { LanguageModelToolResultContent } from './prompt-api/tool-values.js'
export type { EngineSource } from './prompt-api/model-slot.js'
export type { QuotaExceededException, QuotaFigures } from './prompt-api/exceptions.js'
export type {
  LanguageModelAnswerPart,
  LanguageModelAvailability,
  LanguageModelCreateCoreOptions,
  LanguageModelCreateOptions,
  LanguageModelExpected,
  LanguageModelMessage,
  LanguageModelMessageContent,
  LanguageModelMessageRole,
  LanguageModelMessageType,
  LanguageModelPrompt,
  LanguageModelPromptOptions,
  LanguageModelSamplingMode,
  LanguageModelSignalOptions,
  LanguageModelTool,
} from './prompt-api/dictionaries.js'

/** Options of `createLanguageModel`. */
export interface CreateLanguageModelOptions {
  /**
   * True if the class becomes `globalThis.LanguageModel` where the page has none, together with `LanguageModelToolCall`,
   * `LanguageModelToolSuccess` and `LanguageModelToolError`. A browser's own class stays.
   * @default false
   */
  readonly install?: boolean | undefined
  /**
   * The languages of the model, as BCP 47 tags. `availability()` is `unavailable` for other expected languages.
   * @default every language
   */
  readonly languages?: readonly string[] | undefined
  /**
   * How long an engine that the class has loaded stays loaded after its last session was destroyed, in milliseconds.
   * @default 60000
   */
  readonly unloadAfterMs?: number | undefined
}

/** A session: a conversation with the model, as in the Prompt API (https://github.com/webmachinelearning/prompt-api). */
export interface LanguageModel extends EventTarget {
  /**
   * Answers a prompt, and adds both to the conversation.
   * @returns the text; or, if the model calls tools, a list of its text and its calls
   * @throws TypeError; a `DOMException`: `SyntaxError`, `NotSupportedError`, `DataError`, `QuotaExceededError`, `NotReadableError`,
   *   `UnknownError`, `InvalidStateError` after `destroy()`, `AbortError`; or the reason of a signal
   */
  prompt(
    input: LanguageModelPrompt,
    options?: LanguageModelPromptOptions,
  ): Promise<string | LanguageModelAnswerPart[]>
  /**
   * Answers a prompt as a stream of texts. In a session with the expected output `tool-call`, the chunks are parts of the answer
   * instead. The model waits for the reader, unless another call waits for the model.
   * @throws at once what a destroyed session or an aborted signal demands. All other errors are those of the stream
   */
  promptStreaming(
    input: LanguageModelPrompt,
    options?: LanguageModelPromptOptions,
  ): ReadableStream<string | LanguageModelAnswerPart>
  /** Adds messages to the conversation without an answer. */
  append(input: LanguageModelPrompt, options?: LanguageModelSignalOptions): Promise<undefined>
  /** Counts the tokens of a prompt. */
  measureContextUsage(input: LanguageModelPrompt, options?: LanguageModelPromptOptions): Promise<number>
  /** The tokens of the conversation. */
  readonly contextUsage: number
  /**
   * How many tokens the conversation may have: the model's context without the room for an answer, which is a quarter of the
   * context, at most 1,024 tokens. Infinity if the model has no known limit.
   */
  readonly contextWindow: number
  readonly samplingMode: LanguageModelSamplingMode
  /** Is called after the oldest exchanges were removed, because a prompt did not fit. */
  oncontextoverflow: ((event: Event) => void) | null
  /** Returns an independent session with the same conversation. */
  clone(options?: LanguageModelSignalOptions): Promise<LanguageModel>
  /** Ends the session: its running calls fail with an `AbortError`. */
  destroy(): void
}

/** The class of the sessions. Its constructor throws a TypeError: use `create()`. */
export interface LanguageModelClass {
  readonly prototype: LanguageModel
  /**
   * Says what `create()` with these options would have to do first.
   * @throws TypeError; RangeError for an invalid language tag
   */
  availability(options?: LanguageModelCreateCoreOptions): Promise<LanguageModelAvailability>
  /**
   * Creates a session. Loads the engine for the first one.
   * @throws TypeError; RangeError; a `DOMException`: `NotSupportedError`, `QuotaExceededError`, `NetworkError`, `OperationError`,
   *   `AbortError`; or the reason of the signal
   */
  create(options?: LanguageModelCreateOptions): Promise<LanguageModel>
}

/**
 * Creates a class in the shape of the Prompt API's `LanguageModel`, whose sessions run on an engine of this library.
 *
 *     const LanguageModel = createLanguageModel({ backend: onnx(), model })
 *     const session = await LanguageModel.create()
 *     console.log(await session.prompt('Write a poem.'))
 *
 * @param source an engine, a promise for it, or the options of `createEngine`: the first session then loads the engine. The
 *   engine must be able to count tokens (`info.supports.tokenCounting`), and its model must have a chat template
 * @throws RivuletError `invalid-option`
 */
export function createLanguageModel(
  source: EngineSource,
  options: CreateLanguageModelOptions = {},
): LanguageModelClass {
  checkOptions(source, options)
  const { install = false, unloadAfterMs = 60_000 } = options
  const languages = options.languages && new Set(options.languages.map(toLanguage))
  const LanguageModel = createSessionClass(createModelSlot(source, unloadAfterMs), languages)
  if (install) installClasses(LanguageModel)
  return LanguageModel
}

function installClasses(LanguageModel: LanguageModelClass): void {
  const classes = { LanguageModel, LanguageModelToolCall, LanguageModelToolSuccess, LanguageModelToolError }
  if ('LanguageModel' in globalThis) return
  for (const [name, value] of Object.entries(classes)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }
}

function checkOptions(source: EngineSource, options: CreateLanguageModelOptions): void {
  if (
    typeof source !== 'object' ||
    source === null ||
    !['backend', 'generate', 'then'].some((name) => name in source)
  ) {
    refuse(
      'createLanguageModel() takes an engine, a promise for an engine, or the options of createEngine().',
    )
  }
  refuseUnknown('createLanguageModel()', options, [
    'install',
    'languages',
    'unloadAfterMs',
  ] satisfies (keyof CreateLanguageModelOptions)[])
  const { install, languages, unloadAfterMs } = options
  if (install !== undefined && typeof install !== 'boolean')
    refuse('"install" must be true or false.', 'install')
  if (languages !== undefined) checkLanguages(languages)
  if (unloadAfterMs !== undefined && !(typeof unloadAfterMs === 'number' && unloadAfterMs >= 0)) {
    refuse('"unloadAfterMs" must be a number of at least 0.', 'unloadAfterMs')
  }
}

function checkLanguages(languages: unknown): void {
  try {
    if (Array.isArray(languages)) return void languages.map(String).map(toLanguage)
  } catch {
    // Refused below.
  }
  refuse('"languages" must be a list of BCP 47 tags, such as ["en", "de"].', 'languages')
}
