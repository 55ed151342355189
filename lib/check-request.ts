import { checkTemplateVariables } from './check-template-variables.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { describeOption, optionNames, type NumberRange, type OptionName } from './contract/option-table.js'
import {
  type GenerateOptions,
  type Prompt,
  type PrefillOptions,
  type PromptOptions,
  type RequestMessage,
  type RequestOptions,
} from './contract/request.js'
import { checkFormat, checkReasoning, checkToolChoice, checkTools } from './check-answer-options.js'
import { checkCombinations } from './check-combinations.js'
import { checkMessage } from './check-message.js'
import { describeValue } from './describe-value.js'
import { isWellFormed } from './is-well-formed.js'

/** A prompt and its options, after all checks that need no model. A plain copy of the data that the caller passed. */
export interface CheckedRequest {
  readonly prompt: string | readonly RequestMessage[]
  /** The text of the message to continue, which `prompt` does not contain. Undefined without `continueFinalMessage`. */
  readonly assistantPrefix: string | undefined
  readonly applyChatTemplate: boolean | undefined
  readonly options: RequestOptions
}

const maxMessages = 10_000
/** The maximum length of a prompt, in UTF-16 code units. No model has a context that long. */
const maxPromptLength = 2 ** 21

const inputOptions = ['applyChatTemplate', 'continueFinalMessage', 'signal'] as const
const allNames: readonly string[] = [...optionNames, ...inputOptions]

/**
 * Checks a prompt and its options before any work.
 * @throws RivuletError `invalid-option`, with the option's name, range and value
 */
export function checkRequest(prompt: Prompt, options: GenerateOptions = {}): CheckedRequest {
  if (typeof options !== 'object' || options === null) refuse('The options must be an object.')
  for (const name of Object.keys(options)) {
    if (!allNames.includes(name)) {
      refuse(`"${name}" is not an option. The options are: ${allNames.join(', ')}.`, name)
    }
  }
  const { signal, applyChatTemplate, continueFinalMessage = false } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse('"signal" must be an AbortSignal.', 'signal')
  }
  if (applyChatTemplate !== undefined && typeof applyChatTemplate !== 'boolean') {
    refuse('"applyChatTemplate" must be true or false.', 'applyChatTemplate')
  }
  if (typeof continueFinalMessage !== 'boolean') {
    refuse('"continueFinalMessage" must be true or false.', 'continueFinalMessage')
  }
  const messages = checkPrompt(prompt, applyChatTemplate)
  const checked = {
    ...(continueFinalMessage
      ? splitFinalMessage(messages)
      : { prompt: messages, assistantPrefix: undefined }),
    applyChatTemplate,
    options: checkOptions(options),
  }
  checkCombinations(checked)
  return checked
}

const promptNames = [
  'templateVariables',
  'tools',
  'toolChoice',
  'reasoning',
  ...inputOptions,
] as const satisfies readonly (keyof PromptOptions)[]

/**
 * Checks a prompt and the options that change it.
 * @param owner the called method, for errors
 * @throws RivuletError `invalid-option`, also for the other options of `generate`
 */
export function checkPromptRequest(
  owner: string,
  prompt: Prompt,
  options: PromptOptions = {},
): CheckedRequest {
  if (typeof options === 'object' && options !== null) {
    refuseUnknown(owner, options, promptNames)
  }
  return checkRequest(prompt, options)
}

/**
 * Checks a prompt and the options of `engine.prefill`.
 * @throws RivuletError as `checkPromptRequest`
 */
export function checkPrefillRequest(
  prompt: Prompt,
  options: PrefillOptions = {},
): { readonly checked: CheckedRequest; readonly keepPrefix: boolean } {
  if (typeof options !== 'object' || options === null) refuse('The options must be an object.')
  const { keepPrefix = false, ...promptOptions } = options
  if (typeof keepPrefix !== 'boolean') refuse('"keepPrefix" must be true or false.', 'keepPrefix')
  return { checked: checkPromptRequest('prefill()', prompt, promptOptions), keepPrefix }
}

function checkOptions(options: GenerateOptions): RequestOptions {
  const entries = optionNames.flatMap((name) => {
    const value: unknown = options[name]
    return value === undefined ? [] : [[name, checkOption(name, value)] as const]
  })
  // `checkOption` has checked every value against its row of the option table.
  return { stop: [], ...Object.fromEntries(entries) } as RequestOptions
}

function checkOption(name: OptionName, value: unknown): unknown {
  const { value: range } = describeOption(name)
  if (range.kind === 'number') return checkNumber(value, range, name)
  if (range.kind === 'token-bias') return checkBias(value, range, name)
  if (range.kind === 'variables') return checkTemplateVariables(value, range, name)
  if (range.kind === 'strings') return checkStrings(value, range, name)
  if (range.kind === 'format') return checkFormat(value, range, name)
  if (range.kind === 'tools') return checkTools(value, range, name)
  if (range.kind === 'tool-choice') return checkToolChoice(value, name)
  if (range.kind === 'reasoning') return checkReasoning(value, name)
  if (typeof value === 'boolean') return value
  return refuse(`"${name}" must be true or false; got ${describeValue(value)}.`, name)
}

function checkNumber(value: unknown, range: NumberRange, name: string): number {
  const isInside =
    typeof value === 'number' &&
    value <= range.to &&
    (range.from === undefined || value >= range.from) &&
    (range.above === undefined || value > range.above) &&
    (!range.isInteger || Number.isSafeInteger(value))
  if (isInside) return value
  refuse(`"${name}" must be ${describeRange(range)}; got ${describeValue(value)}.`, name)
}

/** Returns a range in words, such as `an integer from 0 to 20` or `a number above 0, up to 1`. */
export function describeRange({ isInteger, from, above, to }: NumberRange): string {
  const type = isInteger ? 'an integer' : 'a number'
  if (to === Infinity) return `${type} of at least ${from}`
  return above === undefined ? `${type} from ${from} to ${to}` : `${type} above ${above}, up to ${to}`
}

function checkStrings(
  value: unknown,
  { maxStrings, maxLength }: { readonly maxStrings: number; readonly maxLength: number },
  name: string,
): readonly string[] {
  const strings: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (strings.length > maxStrings) {
    refuse(`"${name}" takes up to ${maxStrings} strings; got ${strings.length}.`, name)
  }
  return strings.map((string) => {
    if (typeof string === 'string' && string !== '' && string.length <= maxLength) return string
    return refuse(`Each string in "${name}" must have 1 to ${maxLength} characters.`, name)
  })
}

/** Checks the format of token ids and biases. Only the worker knows which token ids the model has. */
function checkBias(
  value: unknown,
  { limit, maxTokens }: { readonly limit: number; readonly maxTokens: number },
  name: string,
): Readonly<Record<number, number>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(`"${name}" must be an object from token ids to numbers; got ${describeValue(value)}.`, name)
  }
  const entries: [string, unknown][] = Object.entries(value)
  if (entries.length > maxTokens) {
    refuse(`"${name}" takes up to ${maxTokens} tokens; got ${entries.length}.`, name)
  }
  for (const [id, bias] of entries) {
    if (!/^(0|[1-9]\d{0,9})$/.test(id)) {
      refuse(`The keys of "${name}" must be token ids; got ${describeValue(id)}.`, name)
    }
    if (typeof bias !== 'number' || !(Math.abs(bias) <= limit)) {
      refuse(
        `"${name}" must be from -${limit} to ${limit}; got ${describeValue(bias)} for token ${id}.`,
        name,
      )
    }
  }
  return Object.fromEntries(entries) as Record<number, number>
}

function checkPrompt(prompt: Prompt, applyChatTemplate: boolean | undefined): CheckedRequest['prompt'] {
  if (typeof prompt === 'string') {
    if (prompt === '') refuse('The prompt is empty. Pass at least one character.', 'prompt')
    checkTexts([prompt])
    return prompt
  }
  if (!Array.isArray(prompt) || prompt.length === 0) {
    refuse('The prompt must be a string or a non-empty list of messages { role, content }.', 'prompt')
  }
  if (applyChatTemplate === false) {
    refuse('"applyChatTemplate: false" continues raw text: pass the prompt as a string.', 'applyChatTemplate')
  }
  if (prompt.length > maxMessages) {
    refuse(`The prompt takes up to ${maxMessages} messages; got ${prompt.length}.`, 'prompt')
  }
  const messages = Array.from(prompt as readonly unknown[], checkMessage)
  checkTexts(messages.flatMap(listTexts))
  return messages
}

/**
 * Splits the prompt into the assistant's last message and the messages before it. At least one message must come before the
 * last one, because no chat template renders an empty conversation.
 */
function splitFinalMessage(
  prompt: CheckedRequest['prompt'],
): Pick<CheckedRequest, 'prompt' | 'assistantPrefix'> {
  const final = typeof prompt === 'string' ? undefined : prompt.at(-1)
  if (final?.role !== 'assistant' || prompt.length === 1) {
    refuse(
      '"continueFinalMessage" needs a list of at least two messages, and the last one must be the assistant\'s.',
      'continueFinalMessage',
    )
  }
  if (final.tool_calls !== undefined) {
    refuse('"continueFinalMessage" cannot continue a message that calls tools.', 'continueFinalMessage')
  }
  return { prompt: prompt.slice(0, -1), assistantPrefix: final.content }
}

/** Lists all texts of a message that the chat template can write. */
function listTexts(message: RequestMessage): readonly string[] {
  if (message.role !== 'assistant') return [message.content]
  const { content, reasoning_content: reasoning = '', tool_calls: calls = [] } = message
  return [content, reasoning, ...calls.flatMap(({ function: { name, arguments: text } }) => [name, text])]
}

function checkTexts(texts: readonly string[]): void {
  const length = texts.reduce((sum, text) => sum + text.length, 0)
  if (length > maxPromptLength) {
    refuse(`The prompt may have up to ${maxPromptLength} characters; got ${length}.`, 'prompt')
  }
  if (!isWellFormed(texts.join(' '))) {
    refuse(
      'The prompt contains half of a surrogate pair, which no tokenizer can encode. Remove it.',
      'prompt',
    )
  }
}
