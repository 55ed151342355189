// The request that a page can make, and the normalized request that is sent to the worker.
import type { OptionName } from './option-table.js'

/** The author of a message. */
export type Role = 'system' | 'user' | 'assistant'

export const roles: readonly Role[] = ['system', 'user', 'assistant']

/** One message of a conversation, in the shape of OpenAI's chat API. */
export interface ChatMessage {
  readonly role: Role
  readonly content: string
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

/** Options of `engine.generate`. */
export interface GenerateOptions extends SamplingOptions {
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

/** A request as it is sent to the worker. The page has decided everything that does not need the model's files. */
export interface GenerateRequest {
  readonly input: RequestInput
  /** The answer that a generation had produced before it was lost; undefined for a new generation. */
  readonly resume?: Resume | undefined
  readonly options: RequestOptions
  /** True if the page reads the progress of the prefill. Backends that know it then report `prefilling` steps. */
  readonly reportsPrefill?: boolean
}

export type RequestInput =
  | {
      /** Messages that are put into the model's chat template. */
      readonly kind: 'chat'
      readonly messages: readonly ChatMessage[]
      /** The start of the answer, if `continueFinalMessage` is true; otherwise empty. */
      readonly assistantPrefix: string
    }
  | {
      /** Raw text to continue, without a chat template. */
      readonly kind: 'text'
      readonly text: string
    }

/** The checked options. An option that the caller left out is missing here, too. */
export type RequestOptions = {
  readonly [Name in Exclude<OptionName, 'stop'>]?: NonNullable<SamplingOptions[Name]>
} & { readonly stop: readonly string[] }

/** The answer so far: first `handedOver`, then `generated`. */
export interface Resume {
  /** The text that other models generated. This model reads it as the start of its own answer. */
  readonly handedOver: GeneratedText
  /**
   * The text that this model generated after `handedOver`. `tokenIds` has one id per token, or is empty if the runtime
   * reports no token ids.
   */
  readonly generated: GeneratedText & { readonly tokenIds: readonly number[] }
}

export interface GeneratedText {
  readonly text: string
  readonly tokens: number
}
