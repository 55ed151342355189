import type { AnswerOptions, SamplingOptions } from './request.js'

/**
 * The name of an option that changes how tokens are chosen, when the answer stops, what the chat template writes, or what the
 * answer consists of.
 */
export type OptionName = keyof SamplingOptions | keyof AnswerOptions

/** The names of this library's backends, as `ModelInfo.backend` reports them. */
export type BackendName = 'onnx' | 'llama-cpp' | 'web-llm' | 'remote' | 'prompt-api'

/** The range of a number. The values `from` and `to` are in the range; the value `above` is not. */
export interface NumberRange {
  readonly kind: 'number'
  readonly isInteger?: true
  readonly from?: number
  readonly above?: number
  /** The largest allowed value. Infinity means no upper limit. */
  readonly to: number
}

/** The valid values of one option. */
type OptionValue =
  | NumberRange
  /** An object that maps up to `maxTokens` token ids to numbers from `-limit` to `limit`. */
  | { readonly kind: 'token-bias'; readonly limit: number; readonly maxTokens: number }
  /** One string, or a list of up to `maxStrings` strings. `maxLength` is the maximum length of a string in characters. */
  | { readonly kind: 'strings'; readonly maxStrings: number; readonly maxLength: number }
  /** An object with values of JSON, up to `maxDepth` levels deep, and up to `maxLength` characters as JSON. */
  | { readonly kind: 'variables'; readonly maxDepth: number; readonly maxLength: number }
  /** A form of the answer: `ResponseFormat`. A schema has up to `maxDepth` levels and `maxLength` characters as JSON. */
  | { readonly kind: 'format'; readonly maxDepth: number; readonly maxLength: number }
  /** Up to `maxTools` tools. Their schemas have up to `maxDepth` levels, and up to `maxLength` characters together. */
  | {
      readonly kind: 'tools'
      readonly maxTools: number
      readonly maxDepth: number
      readonly maxLength: number
    }
  | { readonly kind: 'tool-choice' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'reasoning' }

/** Describes one option. The option's default is in the docstring of `SamplingOptions`. */
export interface OptionRow {
  readonly value: OptionValue
  /** The value that turns the option off. Every model accepts this value, even if it does not support the option. */
  readonly off?: number
  /**
   * The option's field names in OpenAI's API, or in vLLM's API if OpenAI has no such field. Requests are sent with the
   * first name; received requests may use any of the names.
   * https://platform.openai.com/docs/api-reference/chat/create
   */
  readonly openAi: readonly [string, ...string[]]
  /** The backends that support the option. */
  readonly backends: readonly BackendName[]
}

const everywhere = ['onnx', 'llama-cpp', 'web-llm', 'remote', 'prompt-api'] as const
/** The browser's own model gives pages no sampling options, and no say in its reasoning. */
const notPromptApi = ['onnx', 'llama-cpp', 'web-llm', 'remote'] as const
/** web-llm 0.2.86 samples only by temperature and top-p. Its models have no Jinja template. */
const notWebLlm = ['onnx', 'llama-cpp', 'remote'] as const
/** The other backends report no token ids: web-llm has none to report, and OpenAI's responses contain none. */
const withTokenIds = ['onnx', 'llama-cpp'] as const

/**
 * Describes every sampling option. These parts use the table: the checks of `engine.generate`, the reader of `openaiFetch`,
 * the request bodies of `remote()`, `llamaCpp()` and `webLlm()`, `ModelInfo.supports`, the table in docs/guides/options.md
 * and the contract test.
 */
export const optionTable = {
  maxTokens: {
    value: { kind: 'number', isInteger: true, from: 1, to: Infinity },
    openAi: ['max_tokens', 'max_completion_tokens'],
    backends: everywhere,
  },
  temperature: {
    value: { kind: 'number', from: 0, to: 100 },
    openAi: ['temperature'],
    backends: notPromptApi,
  },
  topK: {
    value: { kind: 'number', isInteger: true, from: 0, to: Infinity },
    off: 0,
    openAi: ['top_k'],
    backends: notWebLlm,
  },
  topP: {
    value: { kind: 'number', above: 0, to: 1 },
    off: 1,
    openAi: ['top_p'],
    backends: notPromptApi,
  },
  minP: {
    value: { kind: 'number', from: 0, to: 1 },
    off: 0,
    openAi: ['min_p'],
    backends: notWebLlm,
  },
  repetitionPenalty: {
    value: { kind: 'number', above: 0, to: 100 },
    off: 1,
    openAi: ['repetition_penalty'],
    backends: notPromptApi,
  },
  frequencyPenalty: {
    value: { kind: 'number', from: -2, to: 2 },
    off: 0,
    openAi: ['frequency_penalty'],
    backends: notPromptApi,
  },
  presencePenalty: {
    value: { kind: 'number', from: -2, to: 2 },
    off: 0,
    openAi: ['presence_penalty'],
    backends: notPromptApi,
  },
  logitBias: {
    value: { kind: 'token-bias', limit: 100, maxTokens: 1024 },
    openAi: ['logit_bias'],
    backends: notPromptApi,
  },
  seed: {
    value: { kind: 'number', isInteger: true, from: 0, to: 2 ** 32 - 1 },
    openAi: ['seed'],
    backends: notPromptApi,
  },
  topLogprobs: {
    value: { kind: 'number', isInteger: true, from: 0, to: 20 },
    openAi: ['top_logprobs'],
    backends: withTokenIds,
  },
  stop: {
    value: { kind: 'strings', maxStrings: 16, maxLength: 256 },
    openAi: ['stop'],
    backends: everywhere,
  },
  templateVariables: {
    value: { kind: 'variables', maxDepth: 32, maxLength: 2 ** 20 },
    openAi: ['chat_template_kwargs'],
    backends: notWebLlm,
  },
  responseFormat: {
    value: { kind: 'format', maxDepth: 64, maxLength: 2 ** 18 },
    openAi: ['response_format'],
    backends: everywhere,
  },
  tools: {
    value: { kind: 'tools', maxTools: 128, maxDepth: 64, maxLength: 2 ** 18 },
    openAi: ['tools'],
    backends: notWebLlm,
  },
  toolChoice: {
    value: { kind: 'tool-choice' },
    openAi: ['tool_choice'],
    backends: notWebLlm,
  },
  parallelToolCalls: {
    value: { kind: 'boolean' },
    openAi: ['parallel_tool_calls'],
    backends: notWebLlm,
  },
  reasoning: {
    value: { kind: 'reasoning' },
    openAi: ['reasoning_effort'],
    backends: notPromptApi,
  },
} as const satisfies Record<OptionName, OptionRow>

/** The names of all options, in the order of `optionTable`. */
export const optionNames = Object.keys(optionTable) as readonly OptionName[]

/** Returns the option's row of `optionTable`, as a type that also has the fields that only some options use. */
export function describeOption(name: OptionName): OptionRow {
  return optionTable[name]
}

/** Returns the options that a backend supports, for the backend's `ModelInfo.supports`. */
export function listOptions(backend: BackendName): readonly OptionName[] {
  return optionNames.filter((name) => describeOption(name).backends.includes(backend))
}
