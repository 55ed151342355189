import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/options.js'
import type { ChatConfig, ConversationTemplate, Message, SamplingParameters } from './runtime.js'

/** A checked request in web-llm's format. */
export type DescribedRequest =
  | { readonly kind: 'chat'; readonly messages: readonly Message[]; readonly parameters: SamplingParameters }
  | { readonly kind: 'raw'; readonly prompt: string; readonly parameters: SamplingParameters }

/** The model's properties that a request is checked against. */
export interface RequestRules {
  readonly vocabSize: number
  /** Strings of the model's template that would forge a turn. */
  readonly controlStrings: readonly string[]
  /** The model's stop strings; a request can add others. */
  readonly stopStrings: readonly string[]
  /** The roles whose contents web-llm inserts into a template with `String.replace`. */
  readonly replacedRoles: ReadonlySet<Message['role']>
}

/** @param hasManifest for such models, web-llm inserts only the system message with `String.replace` */
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

/** `<|im_end|>`, `</s>`, `[INST]`: the markers of turns in MLC's conversation templates. */
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

/** @throws RivuletError `invalid-option` for what web-llm does not support */
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
  // 0 turns an option off.
  if (topK) refuse('webLlm() does not support "topK". Use "temperature" and "topP".')
  if (minP) refuse('webLlm() does not support "minP". Use "temperature" and "topP".')
  if (topLogprobs !== undefined)
    refuse('webLlm() does not support "topLogprobs": web-llm reports no token ids. Use onnx() or llamaCpp().')
  const unknown = Object.keys(logitBias ?? {}).find((id) => Number(id) >= rules.vocabSize)
  if (unknown !== undefined) {
    refuse(`"logitBias" contains token ${unknown}, but the model's token ids end at ${rules.vocabSize - 1}.`)
  }
}

/** Missing fields are left out: web-llm does not accept `undefined` for all of them. */
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
      `A message contains "${found}", which marks a turn in this model's template. Remove it: web-llm would treat it as a turn.`,
    )
  }
  if (!replacedRoles.has(role)) return { role, content }
  // Without this, `$&` and others would insert parts of the template (ECMA-262, GetSubstitution).
  return { role, content: content.replace(/\$(?=[$&`'])/g, '$$$$') }
}

function refuse(message: string): never {
  throw new RivuletError('invalid-option', message)
}
