import { refuse } from '../../lib/contract/check-options.js'
import type { GenerateRequest, RequestFormat, RequestOptions } from '../../lib/contract/request.js'
import { toOpenAiBody, type OptionWriters } from '../openai-body.js'
import { toByteSets } from '../text/grammar/byte-sets.js'
import { describeFormat } from '../text/grammar/describe-format.js'
import { lowerForm } from '../text/grammar/lower-form.js'
import { UnsupportedForm } from '../text/grammar/unsupported-form.js'
import type { ChatConfig, ConversationTemplate, Message, SamplingParameters } from './runtime.js'

/** A checked request in web-llm's format. */
export type DescribedRequest =
  | { readonly kind: 'chat'; readonly messages: readonly Message[]; readonly parameters: SamplingParameters }
  | { readonly kind: 'text'; readonly prompt: string; readonly parameters: SamplingParameters }

/** The model's properties that a request is checked against. */
export interface RequestRules {
  readonly vocabSize: number
  /** Strings of the model's template that mark turns. In a message, such a string would forge a turn. */
  readonly controlStrings: readonly string[]
  /** The model's stop strings; a request can add others. */
  readonly stopStrings: readonly string[]
  /** The roles whose contents web-llm inserts into a template with `String.replace`. */
  readonly replacedRoles: ReadonlySet<Message['role']>
}

/**
 * Reads the rules for requests from a model's configuration.
 * @param hasManifest true if the model has a manifest: web-llm then uses `String.replace` only for the system message
 */
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

/** Matches the markers of turns in MLC's conversation templates, such as `<|im_end|>`, `</s>` and `[INST]`. */
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

/**
 * web-llm 0.2.86 compiles a grammar with XGrammar 0.1.27, as `onnx()` does, so that both hold the same texts. Its own
 * `json_object` with a schema would ignore keywords that XGrammar does not know.
 */
const writers = {
  responseFormat: (format) => ({ response_format: { type: 'grammar', grammar: writeFormGrammar(format) } }),
} as const satisfies OptionWriters

/** @throws RivuletError `invalid-option` for a form that cannot be held */
function writeFormGrammar(format: RequestFormat): string {
  try {
    const form = lowerForm(describeFormat(format), toByteSets)
    if (form.type === 'grammar') return form.grammar
    throw new UnsupportedForm(`web-llm has no grammar for the form "${form.type}".`)
  } catch (error) {
    if (!(error instanceof UnsupportedForm)) throw error
    return refuse(`"responseFormat" cannot be held. ${error.message}`, 'responseFormat')
  }
}

/**
 * Converts a request to web-llm's format.
 * @throws RivuletError `invalid-option` for token ids that the model does not have, for forged control strings, and for a form
 *   of the answer that cannot be held
 */
export function describeRequest(request: GenerateRequest, rules: RequestRules): DescribedRequest {
  const { input, options } = request
  checkBias(options, rules)
  const parameters = {
    stream: true,
    stream_options: { include_usage: true },
    ...toOpenAiBody(request, writers),
  } as const
  if (input.kind === 'text') return { kind: 'text', prompt: input.text, parameters }
  const messages = input.messages.map((message) => describeMessage(message, rules))
  return { kind: 'chat', messages, parameters }
}

function checkBias({ logitBias }: RequestOptions, { vocabSize }: RequestRules): void {
  const unknown = Object.keys(logitBias ?? {}).find((id) => Number(id) >= vocabSize)
  if (unknown !== undefined) {
    refuse(`"logitBias" names token ${unknown}; the model has the tokens 0 to ${vocabSize - 1}.`, 'logitBias')
  }
}

function describeMessage(
  { role, content }: Message,
  { controlStrings, replacedRoles }: RequestRules,
): Message {
  const found = controlStrings.find((control) => content.includes(control))
  if (found !== undefined) {
    refuse(
      `A message contains "${found}", which marks turns in this model's chat template. web-llm would read it as a control token: remove it.`,
      'prompt',
    )
  }
  if (!replacedRoles.has(role)) return { role, content }
  // `String.replace` would replace these patterns with text of the template (ECMA-262, GetSubstitution).
  return { role, content: content.replace(/\$(?=[$&`'])/g, '$$$$') }
}
