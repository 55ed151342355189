import { describeOption, optionNames, type OptionName } from '../lib/contract/option-table.js'
import type { GenerateRequest, RequestFormat, RequestOptions } from '../lib/contract/request.js'

/**
 * How a runtime writes an option where it differs from OpenAI's API: the name of its field, or a function that returns the
 * fields. No fields mean that the runtime does not get the option.
 */
export type OptionWriters = {
  readonly [Name in OptionName]?:
    | string
    | ((value: NonNullable<RequestOptions[Name]>, request: GenerateRequest) => Fields)
}

export type Fields = Readonly<Record<string, unknown>>

/**
 * Converts a request's options to the fields of an OpenAI request body. A missing option or an empty list is not sent.
 * `max_tokens` is `maxTokens` minus the number of tokens that the answer already has.
 */
export function toOpenAiBody(request: GenerateRequest, writers: OptionWriters = {}): Record<string, unknown> {
  const { options } = request
  const body: Record<string, unknown> = {}
  for (const name of optionNames) {
    const value = options[name]
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    const writer = writers[name]
    if (typeof writer === 'function') {
      // The table's types do not connect a name with its value.
      Object.assign(body, (writer as (value: unknown, request: GenerateRequest) => Fields)(value, request))
    } else {
      body[writer ?? describeOption(name).openAi[0]] = writeOption(name, request)
    }
  }
  return body
}

/** Returns an option as OpenAI's API writes it. */
function writeOption(name: OptionName, request: GenerateRequest): unknown {
  const { options } = request
  if (name === 'maxTokens') return Number(options.maxTokens) - countGenerated(request)
  if (name === 'responseFormat' && options.responseFormat) return writeFormat(options.responseFormat)
  if (name === 'tools') return options.tools?.map((tool) => ({ type: 'function', function: tool }))
  if (name === 'toolChoice' && typeof options.toolChoice === 'object') {
    return { type: 'function', function: options.toolChoice }
  }
  if (name === 'reasoning') return options.reasoning === 'off' ? 'none' : 'medium'
  return options[name]
}

/** Returns OpenAI's `response_format`, which has only forms of JSON. */
function writeFormat(format: RequestFormat): object {
  if (format.kind !== 'json-schema') return { type: 'json_object' }
  return { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } }
}

/** Returns how many tokens a resumed answer already has; 0 for a new answer. */
export function countGenerated({ resume }: GenerateRequest): number {
  return resume ? resume.handedOver.tokens + resume.generated.tokens : 0
}

/** Returns true if a resumed answer has already reached `maxTokens`, so that no request to the runtime is needed. */
export function isComplete(request: GenerateRequest): boolean {
  return countGenerated(request) >= (request.options.maxTokens ?? Infinity)
}

/** Returns the answer so far: what the caller passed, what other models generated, and what this model generated. */
export function joinAnswer({ input, resume }: GenerateRequest): string {
  const prefix = input.kind === 'chat' ? input.assistantPrefix : ''
  return prefix + (resume?.handedOver.text ?? '') + (resume?.generated.text ?? '')
}
