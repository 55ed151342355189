import { refuse } from '../../lib/contract/check-options.js'
import type { GenerateRequest } from '../../lib/contract/options.js'
import type { ChatConfig, ConversationTemplate, Message, SamplingParameters } from './runtime.js'

/** A checked request, in web-llm's terms. */
export type DescribedRequest =
  | { readonly kind: 'chat'; readonly messages: readonly Message[]; readonly parameters: SamplingParameters }
  | { readonly kind: 'raw'; readonly prompt: string; readonly parameters: SamplingParameters }

/** What of the model a request is checked against. */
export interface RequestRules {
  readonly vocabSize: number
  /** Of the model's template: what would forge a turn. */
  readonly controlStrings: readonly string[]
  /** The model's own, beside a request's. */
  readonly stopStrings: readonly string[]
  /** The roles whose contents web-llm puts into a template by `String.replace`. */
  readonly replacedRoles: ReadonlySet<Message['role']>
}

/** @param hasManifest such models get their contents joined, not replaced, but for the system's */
export function readRequestRules(config: ChatConfig, hasManifest: boolean): RequestRules {
  const template: ConversationTemplate = { ...config.conv_template, ...config.conv_config }
  const roles = hasManifest ? [] : (['user', 'assistant'] as const)
  return {
    vocabSize: config.vocab_size,
    controlStrings: findControlStrings(template),
    stopStrings: template.stop_str,
    replacedRoles: new Set<Message['role']>([
      'system',
      ...roles.filter((role) => template.role_templates?.[role] !== undefined),
    ]),
  }
}

/** `<|im_end|>`, `</s>`, `[INST]`: what MLC's conversation templates mark turns with. */
const controlString = /<[^\s<>]+>|\[\/?[A-Z_]+\]/g

function findControlStrings(template: ConversationTemplate): readonly string[] {
  const { system_template, roles, role_templates, seps, stop_str } = template
  const literals = [
    system_template,
    ...Object.values(roles),
    ...Object.values(role_templates ?? {}),
    ...seps,
    ...stop_str,
  ]
  return [...new Set(literals.flatMap((literal) => literal.match(controlString) ?? []))]
}

/** @throws RivuletError `invalid-option` for what web-llm lacks */
export function describeRequest(request: GenerateRequest, rules: RequestRules): DescribedRequest {
  const { prompt, applyChatTemplate = true } = request
  checkOptions(request, rules)
  const parameters = describeSampling(request)
  if (typeof prompt === 'string') {
    if (!applyChatTemplate) return { kind: 'raw', prompt, parameters }
    return { kind: 'chat', messages: [describeMessage({ role: 'user', content: prompt }, rules)], parameters }
  }
  return { kind: 'chat', messages: prompt.map((message) => describeMessage(message, rules)), parameters }
}

function checkOptions({ topK, minP, topLogprobs, logitBias }: GenerateRequest, rules: RequestRules): void {
  // 0 is off.
  if (topK) refuse('webLlm() has no "topK": its runtime samples by "temperature" and "topP".', 'topK')
  if (minP) refuse('webLlm() has no "minP": its runtime samples by "temperature" and "topP".', 'minP')
  if (topLogprobs !== undefined)
    refuse('webLlm() has no "topLogprobs": its runtime tells no token ids.', 'topLogprobs')
  const unknown = Object.keys(logitBias ?? {}).find((id) => Number(id) >= rules.vocabSize)
  if (unknown !== undefined) {
    refuse(
      `"logitBias" names token ${unknown}; the model has ${rules.vocabSize} tokens, from 0.`,
      'logitBias',
    )
  }
}

/** web-llm takes null and a missing field alike, but not always `undefined`. */
function describeSampling(request: GenerateRequest): SamplingParameters {
  const { maxTokens, temperature, topP, repetitionPenalty, frequencyPenalty, presencePenalty } = request
  const { logitBias, stop, seed } = request
  return {
    stream: true,
    stream_options: { include_usage: true },
    seed,
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(repetitionPenalty !== undefined && { repetition_penalty: repetitionPenalty }),
    ...(frequencyPenalty !== undefined && { frequency_penalty: frequencyPenalty }),
    ...(presencePenalty !== undefined && { presence_penalty: presencePenalty }),
    ...(logitBias && { logit_bias: logitBias }),
    ...(stop.length > 0 && { stop }),
  }
}

function describeMessage(
  { role, content }: Message,
  { controlStrings, replacedRoles }: RequestRules,
): Message {
  const found = controlStrings.find((control) => content.includes(control))
  if (found !== undefined) {
    refuse(
      `A message holds "${found}", which marks turns in this model's template: web-llm would read it as such.`,
    )
  }
  if (!replacedRoles.has(role)) return { role, content }
  // ECMA-262, GetSubstitution: these would bring in the template's own text.
  return { role, content: content.replace(/\$(?=[$&`'])/g, '$$$$') }
}
