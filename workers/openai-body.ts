import { describeOption, optionNames, type OptionName } from '../lib/contract/option-table.js'
import type { GenerateRequest, RequestFormat } from '../lib/contract/request.js'

/**
 * Converts a request's options to the fields of an OpenAI request body. A missing option or an empty list is not sent.
 * `max_tokens` is `maxTokens` minus the number of tokens that the answer already has.
 * @param names the names of the fields for which this runtime does not use OpenAI's name
 */
export function toOpenAiBody(
  request: GenerateRequest,
  names: { readonly [Name in OptionName]?: string } = {},
): Record<string, unknown> {
  const { options } = request
  const generatedTokens = countGenerated(request)
  const fields = optionNames.flatMap((name) => {
    const value = options[name]
    if (value === undefined || (Array.isArray(value) && value.length === 0)) return []
    const field = names[name] ?? describeOption(name).openAi[0]
    return [[field, writeOption(name, request, generatedTokens)] as const]
  })
  return Object.fromEntries(fields)
}

/** Returns an option as OpenAI's API writes it. */
function writeOption(name: OptionName, { options }: GenerateRequest, generatedTokens: number): unknown {
  if (name === 'maxTokens') return Number(options.maxTokens) - generatedTokens
  if (name === 'responseFormat' && options.responseFormat) return writeFormat(options.responseFormat)
  if (name === 'tools') return options.tools?.map((tool) => ({ type: 'function', function: tool }))
  if (name === 'toolChoice' && typeof options.toolChoice === 'object') {
    return { type: 'function', function: options.toolChoice }
  }
  if (name === 'reasoning' && options.reasoning === 'off') return 'none'
  return options[name]
}

function writeFormat(format: RequestFormat): object {
  if (format.kind === 'json') return { type: 'json_object' }
  if (format.kind === 'json-schema') {
    return { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } }
  }
  return format
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
