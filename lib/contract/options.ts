import { refuse } from './check-options.js'

/** One turn of a conversation, in the shape of OpenAI's chat API. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** What to answer: a user's words, or a conversation that ends with them. See also `continueFinalMessage`. */
export type Prompt = string | readonly ChatMessage[]

/** How tokens are chosen and when to stop. What is left out comes from the model's `generation_config.json`. */
export interface SamplingOptions {
  /**
   * Most tokens to generate; at least 1.
   * @default the model's `max_new_tokens`, else what is left of its context
   */
  readonly maxTokens?: number | undefined
  /**
   * Divides the logits before the softmax; 0 to 100. 0 is greedy: always the likeliest token.
   * @default the model's; 1 where it samples without naming one, 0 where it does not sample
   */
  readonly temperature?: number | undefined
  /**
   * Sample only among this many likeliest tokens; 0 is all.
   * @default the model's, else 0
   */
  readonly topK?: number | undefined
  /**
   * Nucleus sampling: the smallest set of likeliest tokens that together reach this probability; above 0, up to 1.
   * Holtzman et al. 2019, arXiv 1904.09751.
   * @default the model's, else 1
   */
  readonly topP?: number | undefined
  /**
   * Drop tokens less likely than this fraction of the likeliest one; 0 up to 1. Nguyen et al. 2024, arXiv 2407.01082.
   * @default the model's, else 0
   */
  readonly minP?: number | undefined
  /**
   * Divides positive and multiplies negative logits of tokens that prompt or answer already hold;
   * above 0, 1 is off. Keskar et al. 2019, arXiv 1909.05858.
   * @default the model's, else 1
   */
  readonly repetitionPenalty?: number | undefined
  /**
   * Subtracted from a token's logit for every time that the answer already holds it; -2 to 2.
   * OpenAI's `frequency_penalty`: https://platform.openai.com/docs/api-reference/chat/create
   * @default 0
   */
  readonly frequencyPenalty?: number | undefined
  /**
   * Subtracted once from the logits of all tokens that the answer already holds; -2 to 2. OpenAI's `presence_penalty`.
   * @default 0
   */
  readonly presencePenalty?: number | undefined
  /**
   * Added to the logits of single tokens, by token id: `{ 50256: -100 }`. -100 to 100, which as good as bans a token or
   * leaves nothing else; up to 1,024 tokens, of the model's vocabulary. OpenAI's `logit_bias`.
   * @default none
   */
  readonly logitBias?: Readonly<Record<number, number>> | undefined
  /**
   * Same seed, same prompt, same options, same device: same text. An integer from 0 to 2^32 - 1.
   * @default a random one
   */
  readonly seed?: number | undefined
  /**
   * Tell each token's log-probability and those of this many likeliest ones; 0 to 20. On a GPU the logits then come
   * back at every token, which costs time.
   * @default none are told
   */
  readonly topLogprobs?: number | undefined
  /**
   * End before any of these strings; the string itself is not part of the text. Up to 16, none empty, 256 characters each.
   * @default none
   */
  readonly stop?: string | readonly string[] | undefined
  /**
   * Put the prompt into the model's chat template. `false` continues the prompt's raw text, which must then be a string.
   * @default true where the model has a chat template
   */
  readonly applyChatTemplate?: boolean | undefined
}

/** Options of `engine.generate`. */
export interface GenerateOptions extends SamplingOptions {
  /**
   * Go on with the conversation's last message, the assistant's, in place of answering it. The stream brings what is new
   * alone; `maxTokens` counts it, and `usage.promptTokens` the rest. Refused where `engine.info.canContinue` is false.
   * vLLM's `continue_final_message`.
   * @default false
   */
  readonly continueFinalMessage?: boolean | undefined
  /** Cancels the generation: the stream errors with the signal's reason, `result` resolves with what was said. */
  readonly signal?: AbortSignal | undefined
}

/** A prompt and its options, checked. */
export interface CheckedRequest extends Omit<SamplingOptions, 'stop'> {
  readonly prompt: Prompt
  /** How the answer begins, where it is to be continued; the prompt is then what comes before it. */
  readonly begun?: string
  readonly stop: readonly string[]
}

/** A request as it crosses to the worker. */
export interface GenerateRequest extends CheckedRequest {
  /** Drawn on the page where the caller gave none: so a generation can be taken up again and goes on as it would have. */
  readonly seed: number
  /** What a generation that is taken up again has said. */
  readonly said?: Said
}

/** The beginning of an answer, as its reader has it. */
export interface Said {
  /** What another model said of it, first: this one reads it as the beginning of its own answer. */
  readonly before: SaidPart
  /** What this model said behind that. */
  readonly own: SaidPart & {
    /** One for each token, or none where the runtime does not tell them. */
    readonly tokenIds: readonly number[]
  }
}

/** Of a generation that begins. */
export const nothingSaid: Said = {
  before: { text: '', tokens: 0 },
  own: { text: '', tokens: 0, tokenIds: [] },
}

export interface SaidPart {
  readonly text: string
  readonly tokens: number
}

const maxMessages = 10_000
/** In UTF-16 code units: more than any model's context holds. */
const maxPromptLength = 2 ** 21
const maxStopStrings = 16
const maxStopStringLength = 256
const maxBiasedTokens = 1024
const maxBias = 100

type NumericOption =
  | 'maxTokens'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'repetitionPenalty'
  | 'frequencyPenalty'
  | 'presencePenalty'
  | 'topLogprobs'
  | 'seed'

/** The range of each number; `above` excludes its own value. */
const ranges = {
  maxTokens: { integer: true, from: 1, to: Number.MAX_SAFE_INTEGER },
  temperature: { from: 0, to: 100 },
  topK: { integer: true, from: 0, to: Number.MAX_SAFE_INTEGER },
  topP: { above: 0, to: 1 },
  minP: { from: 0, to: 1 },
  repetitionPenalty: { above: 0, to: 100 },
  frequencyPenalty: { from: -2, to: 2 },
  presencePenalty: { from: -2, to: 2 },
  topLogprobs: { integer: true, from: 0, to: 20 },
  seed: { integer: true, from: 0, to: 2 ** 32 - 1 },
} satisfies Record<NumericOption, { integer?: true; from?: number; above?: number; to: number }>

const otherOptions = ['logitBias', 'stop', 'applyChatTemplate', 'continueFinalMessage', 'signal'] as const
const optionNames: readonly string[] = [...Object.keys(ranges), ...otherOptions]

/**
 * Checks a prompt and its options before any work is done.
 * @throws RivuletError `invalid-option`, naming the option, its value and its range
 */
export function checkRequest(prompt: Prompt, options: GenerateOptions = {}): CheckedRequest {
  if (typeof options !== 'object' || options === null) refuse('The options must be an object.')
  for (const name of Object.keys(options)) {
    if (!optionNames.includes(name)) {
      refuse(`There is no option "${name}". The options are: ${optionNames.join(', ')}.`, name)
    }
  }
  for (const name of Object.keys(ranges) as NumericOption[]) checkNumber(name, options[name])
  const { signal, stop, logitBias, continueFinalMessage = false, ...sampling } = options
  if (signal !== undefined && !(signal instanceof AbortSignal))
    refuse('"signal" must be an AbortSignal.', 'signal')
  if (sampling.applyChatTemplate !== undefined && typeof sampling.applyChatTemplate !== 'boolean') {
    refuse('"applyChatTemplate" must be true or false.', 'applyChatTemplate')
  }
  if (typeof continueFinalMessage !== 'boolean')
    refuse('"continueFinalMessage" must be true or false.', 'continueFinalMessage')
  const checked = checkPrompt(prompt, sampling.applyChatTemplate)
  return {
    ...sampling,
    ...(logitBias !== undefined && { logitBias: checkLogitBias(logitBias) }),
    ...(continueFinalMessage ? takeFinalMessage(checked) : { prompt: checked }),
    stop: checkStop(stop),
  }
}

function checkNumber(name: NumericOption, value: unknown): void {
  if (value === undefined) return
  const range: { integer?: true; from?: number; above?: number; to: number } = ranges[name]
  const isInside =
    typeof value === 'number' &&
    value <= range.to &&
    (range.from === undefined || value >= range.from) &&
    (range.above === undefined || value > range.above) &&
    (!range.integer || Number.isInteger(value))
  if (isInside) return
  const low = range.above === undefined ? `from ${range.from}` : `above ${range.above}`
  const high = range.to === Number.MAX_SAFE_INTEGER ? '' : ` up to ${range.to}`
  refuse(
    `"${name}" must be ${range.integer ? 'an integer' : 'a number'} ${low}${high}; got ${describeValue(value)}.`,
    name,
  )
}

function checkPrompt(prompt: Prompt, applyChatTemplate: boolean | undefined): Prompt {
  if (typeof prompt === 'string') {
    if (prompt === '') refuse('The prompt is empty. Give at least one character.', 'prompt')
    checkTexts([prompt])
    return prompt
  }
  if (!Array.isArray(prompt) || prompt.length === 0) {
    refuse('The prompt must be a string or a non-empty array of messages { role, content }.', 'prompt')
  }
  if (applyChatTemplate === false) {
    refuse('"applyChatTemplate: false" continues raw text: give the prompt as a string.', 'applyChatTemplate')
  }
  if (prompt.length > maxMessages) {
    refuse(`The prompt takes up to ${maxMessages} messages; got ${prompt.length}.`, 'prompt')
  }
  const messages = Array.from(prompt as readonly unknown[], checkMessage)
  const contents = messages.map(({ content }) => content)
  checkTexts(contents)
  return messages
}

/** Only behind something can an answer be continued: no template renders a conversation of nothing. */
function takeFinalMessage(prompt: Prompt): Pick<CheckedRequest, 'prompt' | 'begun'> {
  const final = typeof prompt === 'string' ? undefined : prompt.at(-1)
  if (final?.role !== 'assistant' || prompt.length === 1) {
    refuse(
      '"continueFinalMessage" takes messages of which the last is the assistant\'s, and not the only one.',
      'continueFinalMessage',
    )
  }
  return { prompt: prompt.slice(0, -1), begun: final.content }
}

function checkTexts(texts: readonly string[]): void {
  const length = texts.reduce((sum, text) => sum + text.length, 0)
  if (length > maxPromptLength) {
    refuse(`The prompt takes up to ${maxPromptLength} characters in all; got ${length}.`, 'prompt')
  }
  if (!texts.every(isWellFormed)) {
    refuse(
      `The prompt holds half of a surrogate pair: no text, and no tokenizer has a token for it.`,
      'prompt',
    )
  }
}

/** No lone surrogates. `String.prototype.isWellFormed` is younger than the browsers that have what is needed here. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

/** A plain copy: a framework's proxy, or a message with a function in it, could not be posted to the worker. */
function checkMessage(message: unknown, index: number): ChatMessage {
  const { role, content } = (message ?? {}) as Partial<Record<keyof ChatMessage, unknown>>
  if (role !== 'system' && role !== 'user' && role !== 'assistant') {
    refuse(
      `messages[${index}].role must be "system", "user" or "assistant"; got ${describeValue(role)}.`,
      `messages[${index}].role`,
    )
  }
  if (typeof content !== 'string') {
    refuse(
      `messages[${index}].content must be a string: this library streams text only.`,
      `messages[${index}].content`,
    )
  }
  return { role, content }
}

function checkStop(stop: GenerateOptions['stop']): readonly string[] {
  const strings: readonly unknown[] = stop === undefined ? [] : Array.isArray(stop) ? stop : [stop]
  if (strings.length > maxStopStrings) {
    refuse(`"stop" takes up to ${maxStopStrings} strings; got ${strings.length}.`, 'stop')
  }
  return strings.map((value) => {
    if (typeof value !== 'string' || value === '' || value.length > maxStopStringLength) {
      refuse(`"stop" takes non-empty strings of up to ${maxStopStringLength} characters.`, 'stop')
    }
    return value
  })
}

/** A plain copy, as of the messages. Whether the model has these tokens shows in the worker. */
function checkLogitBias(logitBias: unknown): Readonly<Record<number, number>> {
  if (typeof logitBias !== 'object' || logitBias === null || Array.isArray(logitBias)) {
    refuse(
      `"logitBias" must be an object from token ids to numbers; got ${describeValue(logitBias)}.`,
      'logitBias',
    )
  }
  const entries: [string, unknown][] = Object.entries(logitBias)
  if (entries.length > maxBiasedTokens) {
    refuse(`"logitBias" takes up to ${maxBiasedTokens} tokens; got ${entries.length}.`, 'logitBias')
  }
  for (const [id, bias] of entries) {
    if (!/^(0|[1-9]\d{0,9})$/.test(id))
      refuse(`"logitBias" takes token ids; got ${describeValue(id)}.`, 'logitBias')
    if (typeof bias !== 'number' || !(Math.abs(bias) <= maxBias)) {
      refuse(
        `"logitBias" must be from -${maxBias} to ${maxBias}; got ${describeValue(bias)} for token ${id}.`,
        'logitBias',
      )
    }
  }
  return Object.fromEntries(entries) as Record<number, number>
}

/** A refused value in a word. An object gives its type alone: writing it out could fail in turn. */
function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  return Object(value) === value ? typeof value : String(value)
}
