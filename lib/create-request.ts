import { refuse } from './contract/check-options.js'
import { describeOption, optionNames, type OptionName } from './contract/option-table.js'
import type { GenerateRequest, RequestInput, RequestOptions } from './contract/request.js'
import type { ModelInfo } from './contract/worker-api.js'
import type { CheckedRequest } from './check-request.js'

/**
 * Creates the request for one loaded model.
 * @throws RivuletError `invalid-option` for anything that `info.supports` does not list
 */
export function createRequest(checked: CheckedRequest, info: ModelInfo): GenerateRequest {
  const options = selectOptions(checked.options, info)
  const input = createInput(checked, info)
  if (input.kind === 'text' && Object.keys(options.templateVariables ?? {}).length > 0) {
    refuse(
      '"templateVariables" needs a chat template, but this prompt is raw text. Leave it out.',
      'templateVariables',
    )
  }
  const templateOption =
    input.kind === 'text' && (['tools', 'reasoning'] as const).find((name) => options[name])
  if (templateOption) {
    refuse(
      `"${templateOption}" needs a chat template, but this prompt is raw text. Leave it out.`,
      templateOption,
    )
  }
  if (checked.assistantPrefix !== undefined && !info.supports.continuation) {
    refuse(
      `${info.backend} cannot continue a message with this model. Leave "continueFinalMessage" out.`,
      'continueFinalMessage',
    )
  }
  return { input, options }
}

function createInput(checked: CheckedRequest, { backend, supports }: ModelInfo): RequestInput {
  const { prompt, assistantPrefix, applyChatTemplate } = checked
  const isChat = applyChatTemplate ?? (typeof prompt !== 'string' || supports.inputs.includes('chat'))
  if (!isChat) {
    if (!supports.inputs.includes('text')) {
      refuse(
        `${backend} takes no raw text. Leave "applyChatTemplate" out (OpenAI: /v1/chat/completions).`,
        'applyChatTemplate',
      )
    }
    return { kind: 'text', text: String(prompt) }
  }
  if (!supports.inputs.includes('chat')) {
    refuse(
      'This model has no chat template, so it cannot answer messages. Give it one with the option "chatTemplate" of its ' +
        "backend, or pass the prompt as a string (in OpenAI's API: /v1/completions), which the model continues as raw text.",
      'prompt',
    )
  }
  const messages = typeof prompt === 'string' ? [{ role: 'user' as const, content: prompt }] : prompt
  const unknown = messages.find(({ role }) => !supports.roles.includes(role))
  if (unknown) {
    refuse(`${backend} takes no messages with the role "${unknown.role}". Leave them out.`, 'prompt')
  }
  return { kind: 'chat', messages, assistantPrefix: assistantPrefix ?? '' }
}

/**
 * Returns the options that the loaded model supports. An unsupported option is left out if its value turns the option off;
 * otherwise the option is refused.
 * @throws RivuletError `invalid-option`
 */
function selectOptions(options: RequestOptions, { backend, supports }: ModelInfo): RequestOptions {
  const used = optionNames.filter((name) => options[name] !== undefined && !isOff(name, options))
  const unsupported = used.find((name) => !supports.options.includes(name))
  if (unsupported !== undefined) {
    const hint = supports.hints?.[unsupported] ?? 'Leave it out, or use another backend.'
    refuse(`${backend} does not support "${unsupported}". ${hint}`, unsupported)
  }
  const { responseFormat, reasoning } = options
  if (responseFormat && !supports.formats.includes(responseFormat.kind)) {
    refuse(
      `${backend} cannot hold the form "${responseFormat.kind}" with this model. Use another form.`,
      'responseFormat',
    )
  }
  const demand = typeof reasoning === 'object' ? 'budget' : reasoning
  if (demand && !supports.reasoning.includes(demand)) {
    refuse(
      `This model's reasoning cannot be controlled with ${demand === 'budget' ? '{ maxTokens }' : `"${demand}"`}. ` +
        'Leave "reasoning" out.',
      'reasoning',
    )
  }
  const canHoldBack = options.toolChoice !== 'none' || supports.options.includes('toolChoice')
  const hasTools = canHoldBack && (options.tools ?? []).length > 0
  const entries = Object.entries(options).filter(
    ([name]) => supports.options.some((known) => known === name) && (hasTools || !toolOptions.has(name)),
  )
  return { ...Object.fromEntries(entries), stop: options.stop } as RequestOptions
}

/** The options that have no effect without tools. */
const toolOptions: ReadonlySet<string> = new Set<OptionName>(['tools', 'toolChoice', 'parallelToolCalls'])

/** True if the option demands nothing: the option's `off` value, an empty list, no variables, or tools that must not be called. */
function isOff(name: OptionName, options: RequestOptions): boolean {
  const { off, value: range } = describeOption(name)
  const value = options[name]
  if (range.kind === 'variables') return Object.keys(value as object).length === 0
  if (toolOptions.has(name) && options.toolChoice === 'none') return true
  return value === off || (Array.isArray(value) && value.length === 0)
}
