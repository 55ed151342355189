import { describeOption, optionNames, type OptionName } from '../lib/contract/option-table.js'
import type { GenerateRequest } from '../lib/contract/request.js'

/**
 * A request's options as fields of an OpenAI request body. An option that is missing is not sent.
 * `max_tokens` is what is left of `maxTokens` after the answer so far.
 * @param names the fields that this runtime calls differently
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
    return [[field, name === 'maxTokens' ? Number(value) - generatedTokens : value] as const]
  })
  return Object.fromEntries(fields)
}

/** The tokens that a resumed answer has already. */
export function countGenerated({ resume }: GenerateRequest): number {
  return resume ? resume.handedOver.tokens + resume.generated.tokens : 0
}

/** Whether a resumed answer has reached `maxTokens` already: then there is nothing to ask a runtime for. */
export function isComplete(request: GenerateRequest): boolean {
  return countGenerated(request) >= (request.options.maxTokens ?? Infinity)
}

/** The answer so far: what the caller passed, what other models generated, and what this model generated. */
export function joinAnswer({ input, resume }: GenerateRequest): string {
  const prefix = input.kind === 'chat' ? input.assistantPrefix : ''
  return prefix + (resume?.handedOver.text ?? '') + (resume?.generated.text ?? '')
}
