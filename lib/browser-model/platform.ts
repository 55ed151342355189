// The parts of the browser's Prompt API that are used. TypeScript 6.0's DOM library does not have it yet.

/** The browser's class. */
export interface PlatformLanguageModel {
  availability(options?: PlatformOptions): Promise<string>
  create(options?: PlatformCreateOptions): Promise<PlatformSession>
}

export interface PlatformOptions {
  readonly expectedInputs?: readonly PlatformExpected[]
  readonly expectedOutputs?: readonly PlatformExpected[]
}

interface PlatformExpected {
  readonly type: 'text'
  readonly languages: readonly string[]
}

interface PlatformCreateOptions extends PlatformOptions {
  readonly initialPrompts?: readonly PlatformMessage[]
  readonly signal?: AbortSignal
  readonly monitor?: (target: EventTarget) => void
}

export interface PlatformMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
  readonly prefix?: boolean
}

export interface PlatformSession extends EventTarget {
  promptStreaming(
    input: readonly PlatformMessage[],
    options: {
      readonly signal?: AbortSignal
      readonly responseConstraint?: object
      readonly omitResponseConstraintInput?: boolean
    },
  ): ReadableStream<unknown>
  /** Missing in older versions of Chrome, as `contextWindow`. */
  measureContextUsage?(
    input: readonly PlatformMessage[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<number>
  readonly contextWindow?: number
  destroy(): void
}

/** Returns the browser's class; undefined if it has none, or the page may not use it. */
export function findPlatformModel(): PlatformLanguageModel | undefined {
  const { LanguageModel: found } = globalThis as { readonly LanguageModel?: PlatformLanguageModel }
  return typeof found?.create === 'function' ? found : undefined
}

/** Returns the options that name the languages of texts. */
export function nameLanguages(languages: readonly string[]): PlatformOptions {
  if (languages.length === 0) return {}
  const expected = [{ type: 'text', languages }] as const
  return { expectedInputs: expected, expectedOutputs: expected }
}
