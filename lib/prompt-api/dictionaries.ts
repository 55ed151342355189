// The dictionaries of the Prompt API (https://webmachinelearning.github.io/prompt-api), and of what this class adds to them.
import type {
  LanguageModelToolCall,
  LanguageModelToolError,
  LanguageModelToolSuccess,
} from './tool-values.js'

export type LanguageModelAvailability = 'unavailable' | 'downloadable' | 'downloading' | 'available'

export type LanguageModelMessageRole = 'system' | 'user' | 'assistant'

/** Only `text`, `tool-call` and `tool-response` are supported. */
export type LanguageModelMessageType = 'text' | 'image' | 'audio' | 'tool-call' | 'tool-response'

/** How varied the answers are. `balanced` uses the model's own values. */
export type LanguageModelSamplingMode =
  | 'most-predictable'
  | 'predictable'
  | 'slightly-predictable'
  | 'balanced'
  | 'slightly-creative'
  | 'creative'
  | 'most-creative'

export const samplingModes: readonly LanguageModelSamplingMode[] = [
  'most-predictable',
  'predictable',
  'slightly-predictable',
  'balanced',
  'slightly-creative',
  'creative',
  'most-creative',
]

/** A type of content, and the languages of its text as BCP 47 tags. */
export interface LanguageModelExpected {
  readonly type: LanguageModelMessageType
  readonly languages?: Iterable<string> | undefined
}

/** A tool that the model can call. The app runs the calls and prompts with their results ("open loop"). */
export interface LanguageModelTool {
  readonly name: string
  readonly description: string
  /** The JSON schema of the arguments: `type` must be `object`. */
  readonly inputSchema: object
}

/** Options of `availability()`. */
export interface LanguageModelCreateCoreOptions {
  readonly samplingMode?: LanguageModelSamplingMode | undefined
  readonly expectedInputs?: Iterable<LanguageModelExpected> | undefined
  /** Must contain the type `tool-call` if there are `tools`. */
  readonly expectedOutputs?: Iterable<LanguageModelExpected> | undefined
  readonly tools?: Iterable<LanguageModelTool> | undefined
}

/** Options of `create()`. */
export interface LanguageModelCreateOptions extends LanguageModelCreateCoreOptions {
  /** Rejects `create()`, or destroys the session. */
  readonly signal?: AbortSignal | undefined
  /** Is called at once, with the target of the `downloadprogress` events. */
  readonly monitor?: ((monitor: EventTarget) => void) | undefined
  /** The start of the conversation. It is never removed when the context overflows. */
  readonly initialPrompts?: Iterable<LanguageModelMessage> | undefined
}

/** Options of `prompt()`, `promptStreaming()` and `measureContextUsage()`. */
export interface LanguageModelPromptOptions {
  /** A JSON schema, or a `RegExp` without flags that the whole answer matches. */
  readonly responseConstraint?: object | undefined
  /** True if the model does not read the constraint as a part of the prompt. @default false */
  readonly omitResponseConstraintInput?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** Options of `append()` and `clone()`. */
export interface LanguageModelSignalOptions {
  readonly signal?: AbortSignal | undefined
}

/** A string is one user message. */
export type LanguageModelPrompt = string | Iterable<LanguageModelMessage>

export interface LanguageModelMessage {
  readonly role: LanguageModelMessageRole
  readonly content: string | Iterable<LanguageModelMessageContent>
  /** True for a last message of the assistant that the model continues. @default false */
  readonly prefix?: boolean | undefined
}

export interface LanguageModelMessageContent {
  readonly type: LanguageModelMessageType
  readonly value: string | LanguageModelToolCall | LanguageModelToolSuccess | LanguageModelToolError
}

/** A part of an answer that calls tools: first the text, if there is some, then the calls. */
export type LanguageModelAnswerPart =
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'tool-call'; readonly value: LanguageModelToolCall }
