// The request that a page can make, and the normalized request that is sent to the worker.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { OptionName } from './option-table.js'
import type { ToolCall } from './worker-api.js'

/** The author of a message. `tool` is the result of a tool call. */
export type Role = 'system' | 'user' | 'assistant' | 'tool'

export const roles: readonly Role[] = ['system', 'user', 'assistant', 'tool']

/** The roles that a model without tools supports. */
export const textRoles: readonly Role[] = ['system', 'user', 'assistant']

/** A part of a message's content. The texts of the parts are joined. */
export interface TextPart {
  readonly type: 'text'
  readonly text: string
}

/** The content of a message: a text, or a list of its parts. */
export type MessageContent = string | readonly TextPart[]

/** One message of a conversation, in the shape of OpenAI's chat API. */
export type ChatMessage = InstructionMessage | AssistantMessage | ToolMessage

export interface InstructionMessage {
  readonly role: 'system' | 'user'
  readonly content: MessageContent
}

/** An answer of the model. */
export interface AssistantMessage {
  readonly role: 'assistant'
  /** Missing or null if the answer only calls tools. */
  readonly content?: MessageContent | null | undefined
  /** The reasoning before the answer. Chat templates drop old reasoning as the model family wants it. */
  readonly reasoning_content?: string | null | undefined
  readonly tool_calls?: readonly MessageToolCall[] | undefined
}

/** A tool call of an earlier answer. */
export interface MessageToolCall {
  readonly id: string
  readonly type: 'function'
  /** `arguments` is a JSON text, as in `ToolCall`. */
  readonly function: { readonly name: string; readonly arguments: string }
}

/** What a tool returned for the call `tool_call_id`. Its content is untrusted, as every content. */
export interface ToolMessage {
  readonly role: 'tool'
  readonly tool_call_id: string
  readonly content: MessageContent
}

/** The text to answer: a user message as a string, or a conversation. See also `continueFinalMessage`. */
export type Prompt = string | readonly ChatMessage[]

/**
 * The options that decide how tokens are chosen, when the answer stops and what the chat template writes. If an option is
 * left out, `onnx()` uses the value in the model's `generation_config.json`; the other backends and servers use their own
 * defaults.
 * `engine.info.supports.options` lists the accepted options.
 */
export interface SamplingOptions {
  /**
   * Maximum number of tokens to generate; at least 1.
   * @default the model's `max_new_tokens`, else the rest of its context
   */
  readonly maxTokens?: number | undefined
  /**
   * Divides the logits before the softmax; 0 to 100. With 0, the most likely token is always chosen (greedy decoding).
   * @default the model's; 1 if the model samples without naming one, 0 if it does not sample
   */
  readonly temperature?: number | undefined
  /**
   * Samples only among this many most likely tokens; 0 means all.
   * @default the model's, else 0
   */
  readonly topK?: number | undefined
  /**
   * Nucleus sampling: samples only among the smallest set of most likely tokens whose probabilities add up to this value;
   * above 0, up to 1. Holtzman et al. 2019, arXiv 1904.09751.
   * @default the model's, else 1
   */
  readonly topP?: number | undefined
  /**
   * Drops tokens whose probability is below this fraction of the most likely token's probability; 0 to 1.
   * Nguyen et al. 2024, arXiv 2407.01082.
   * @default the model's, else 0
   */
  readonly minP?: number | undefined
  /**
   * Divides the positive logits and multiplies the negative logits of tokens that the prompt or the answer already
   * contains; above 0. 1 turns the penalty off. Keskar et al. 2019, arXiv 1909.05858.
   * @default the model's, else 1
   */
  readonly repetitionPenalty?: number | undefined
  /**
   * Is subtracted from a token's logit once for each time the answer already contains the token; -2 to 2.
   * This is OpenAI's `frequency_penalty`: https://platform.openai.com/docs/api-reference/chat/create
   * @default 0
   */
  readonly frequencyPenalty?: number | undefined
  /**
   * Is subtracted once from the logit of each token that the answer already contains; -2 to 2.
   * This is OpenAI's `presence_penalty`.
   * @default 0
   */
  readonly presencePenalty?: number | undefined
  /**
   * Numbers that are added to the logits of single tokens, by token id: `{ 50256: -100 }`. -100 practically bans a token,
   * and 100 practically forces it. Up to 1,024 tokens of the model's vocabulary. This is OpenAI's `logit_bias`.
   * @default none
   */
  readonly logitBias?: Readonly<Record<number, number>> | undefined
  /**
   * The same seed, prompt, options and device give the same text. An integer from 0 to 2^32 - 1.
   * @default a random one
   */
  readonly seed?: number | undefined
  /**
   * How many of the most likely tokens to report at each step, with their log-probabilities; 0 to 20. With 0, only the
   * chosen token's log-probability is reported. This is slower on a GPU, because the logits are read back at every step.
   * @default not reported
   */
  readonly topLogprobs?: number | undefined
  /**
   * Ends the answer when its text contains one of these strings. The text then ends before this string. With `onnx()` and
   * `llamaCpp()`, a string can also contain control tokens, which are not part of the text: `<|im_start|>user`. Up to 16
   * non-empty strings of up to 256 characters.
   * @default none
   */
  readonly stop?: string | readonly string[] | undefined
  /**
   * Variables of the model's chat template, with values of JSON: `{ enable_thinking: false }`. The model's documentation
   * lists its variables. Their texts are content: they never become control tokens. This is vLLM's `chat_template_kwargs`.
   * @default none
   */
  readonly templateVariables?: Readonly<Record<string, unknown>> | undefined
}

/** A tool that the model can call. Nothing runs by itself: the answer contains the calls, and the app runs them. */
export interface Tool {
  /** 1 to 64 letters, digits, `_`, `-` or `.`. */
  readonly name: string
  /** Tells the model what the tool does and when to call it. */
  readonly description?: string | undefined
  /**
   * The JSON schema of the arguments, which are an object; or a Standard Schema that has a JSON schema.
   * @default an object without properties
   */
  readonly parameters?: JsonSchema | StandardSchemaV1 | undefined
}

/** A JSON schema: an object with keywords. */
export type JsonSchema = Readonly<Record<string, unknown>>

/**
 * Which tools the model may call. `auto`: the model decides. `none`: no tool. `required`: at least one call. `{ name }`: a
 * call of this tool.
 */
export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string }

/**
 * The form of the answer. A Standard Schema (zod, valibot, arktype), which must be able to give its JSON schema, or
 * `{ jsonSchema }`: a JSON value that is valid by the schema. `json`: any JSON object or array. `{ regex }`: a text that matches the
 * whole pattern. `{ grammar }`: a text of the grammar, in EBNF as llama.cpp writes it (GBNF), with the rule `root`.
 */
export type ResponseFormat =
  | StandardSchemaV1
  | { readonly jsonSchema: JsonSchema }
  | 'json'
  | { readonly regex: string | RegExp }
  | { readonly grammar: string }

/** Whether the model reasons before its answer. `{ maxTokens }`: it does, and its reasoning ends after this many tokens. */
export type Reasoning = 'on' | 'off' | { readonly maxTokens: number }

/** The options that decide what an answer consists of: text, a value, tool calls, reasoning. */
export interface AnswerOptions<Format extends ResponseFormat | undefined = ResponseFormat | undefined> {
  /**
   * The form of the answer. `result.value` is the parsed and validated value, and `stream.partialValues()` iterates over the
   * value while it grows. `engine.info.supports.formats` lists what the model supports. With `continueFinalMessage`, the form
   * and the value include the continued message, which must fit the form. This is OpenAI's `response_format`.
   * @default free text
   */
  readonly responseFormat?: Format
  /**
   * The tools that the model can call; up to 128. `stream` and `result` contain the calls. This is OpenAI's `tools`.
   * @default none
   */
  readonly tools?: readonly Tool[] | undefined
  /**
   * Which of `tools` the model may call. With `continueFinalMessage`, it must be `none`. This is OpenAI's `tool_choice`.
   * @default 'auto'
   */
  readonly toolChoice?: ToolChoice | undefined
  /**
   * False if the model may call at most one tool in an answer. This is OpenAI's `parallel_tool_calls`.
   * @default true
   */
  readonly parallelToolCalls?: boolean | undefined
  /**
   * Turns the model's reasoning on or off, or limits it to a number of tokens.
   * @default the model's
   */
  readonly reasoning?: Reasoning | undefined
}

/** Options of `engine.generate`. */
export interface GenerateOptions<Format extends ResponseFormat | undefined = ResponseFormat | undefined>
  extends SamplingOptions, AnswerOptions<Format> {
  /**
   * `true` puts the prompt into the model's chat template. `false` continues the prompt as raw text; the prompt must then
   * be a string.
   * @default true if the model has a chat template
   */
  readonly applyChatTemplate?: boolean | undefined
  /**
   * `true` continues the conversation's last message, which must be the assistant's, instead of answering it. The stream
   * contains only the new text; `maxTokens` limits it. `usage.promptTokens` counts the continued message. The request is
   * refused if `engine.info.supports.continuation` is false. This is vLLM's `continue_final_message`.
   * @default false
   */
  readonly continueFinalMessage?: boolean | undefined
  /** Cancels the generation: the stream errors with the signal's reason, and `result` resolves with the text so far. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `engine.countTokens` and `engine.prefill`: the options of `engine.generate` that change the prompt. */
export type PromptOptions = Pick<
  GenerateOptions,
  | 'templateVariables'
  | 'tools'
  | 'toolChoice'
  | 'reasoning'
  | 'applyChatTemplate'
  | 'continueFinalMessage'
  | 'signal'
>

/** Options of `engine.prefill`. */
export interface PrefillOptions extends PromptOptions {
  /**
   * `true` also keeps the computed prompt (its KV cache) in the model store, so that it need not be computed again after a
   * reload of the page. The bytes depend on the model, the dtype and the device, and are not used with others. They take much
   * room: 92 MB for 2,000 tokens of SmolLM2-135M in 32-bit floats. The store then also contains the tokens of the prompt; what
   * is private should be removed with `store.removePrefixes()`. Refused if `engine.info.supports.keptPrefixes` is false.
   * @default false
   */
  readonly keepPrefix?: boolean | undefined
}

/** A request as it is sent to the worker. The page has decided everything that does not need the model's files. */
export interface GenerateRequest {
  readonly input: RequestInput
  /** The answer that a generation had produced before it was lost; undefined for a new generation. */
  readonly resume?: Resume | undefined
  readonly options: RequestOptions
  /** True if only the prompt is computed: the steps then end after `started`, with `length`. */
  readonly prefillOnly?: boolean
  /** True if the KV cache of the prompt is kept in the model store. Only with `prefillOnly`. */
  readonly keepsPrefix?: boolean
  /** True if the page reads the progress of the prefill. Backends that know it then report `prefilling` steps. */
  readonly reportsPrefill?: boolean
  /**
   * True if the prefill waits where the page does not read its progress. Then other generations do not wait for it. The worker
   * sets this: it reads the progress of each prefill itself, also for a page that does not.
   */
  readonly canPausePrefill?: boolean
}

export type RequestInput =
  | {
      /** Messages that are put into the model's chat template. */
      readonly kind: 'chat'
      readonly messages: readonly RequestMessage[]
      /** The start of the answer, if `continueFinalMessage` is true; otherwise empty. */
      readonly assistantPrefix: string
    }
  | {
      /** Raw text to continue, without a chat template. */
      readonly kind: 'text'
      readonly text: string
    }

/** A message whose content is one text. An answer that only calls tools has an empty one. */
export type RequestMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | {
      readonly role: 'assistant'
      readonly content: string
      readonly reasoning_content?: string
      /** Not empty. */
      readonly tool_calls?: readonly MessageToolCall[]
    }
  | { readonly role: 'tool'; readonly content: string; readonly tool_call_id: string }

/** The checked options. An option that the caller left out is missing here, too. */
export type RequestOptions = {
  readonly [Name in Exclude<OptionName, 'stop' | 'responseFormat' | 'tools'>]?: NonNullable<
    GenerateOptions[Name]
  >
} & {
  readonly stop: readonly string[]
  readonly responseFormat?: RequestFormat
  /** Not empty. */
  readonly tools?: readonly RequestTool[]
}

/** The form of an answer, as plain data. */
export type RequestFormat =
  | { readonly kind: 'json' }
  | { readonly kind: 'json-schema'; readonly schema: JsonSchema }
  /** `pattern` matches the whole text. It has no flags. */
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'grammar'; readonly grammar: string }

/** A tool, as plain data. */
export interface RequestTool {
  readonly name: string
  readonly description?: string
  readonly parameters: JsonSchema
}

/** The answer so far: first `handedOver`, then `generated`. */
export interface Resume {
  /** What other models generated. This model reads it as the start of its own answer. */
  readonly handedOver: GeneratedAnswer
  /**
   * What this model generated after `handedOver`. `tokenIds` has one id per token, or is empty if the runtime reports no token
   * ids.
   */
  readonly generated: GeneratedAnswer & { readonly tokenIds: readonly number[] }
}

/** A part of an answer, in its channels. */
export interface GeneratedAnswer {
  readonly text: string
  /** Missing if there is none. */
  readonly reasoning?: string
  /** Missing if there are none. The last call can be incomplete. */
  readonly toolCalls?: readonly ToolCall[]
  /** All of it as the model wrote it, with the marks of reasoning and tool calls; missing if it equals `text`. */
  readonly raw?: string
  readonly tokens: number
}
