import { refuse } from '../../lib/contract/check-options.js'
import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import { toOpenAiBody, type OptionWriters } from '../openai-body.js'
import { describeAnswer } from '../text/answer-grammar.js'
import { createAnswerSplitter } from '../text/channels/create-answer-splitter.js'
import type { AnswerSplitter } from '../text/channels/split-answer.js'
import { composeGrammar } from '../text/gbnf/compose-grammar.js'
import { writeGbnf } from '../text/gbnf/write-gbnf.js'
import { toByteSets } from '../text/grammar/byte-sets.js'
import { lowerForm } from '../text/grammar/lower-form.js'
import type { TagFormat } from '../text/grammar/tag-format.js'
import { UnsupportedForm } from '../text/grammar/unsupported-form.js'
import { noThoughts, readThoughts, type ModelThoughts } from './model-thoughts.js'
import type { ChatRequest, ConversationTemplate, LoadedFiles, Message } from './runtime.js'

/** A checked request in web-llm's format. */
export type DescribedRequest = {
  readonly parameters: Omit<ChatRequest, 'messages'>
  /** Splits the answer into its channels. */
  readonly splitter: AnswerSplitter
  /** The strings that end the answer's text. web-llm does not get them: it would match them in the thought, too. */
  readonly stop: readonly string[]
} & (
  | { readonly kind: 'chat'; readonly messages: readonly Message[] }
  | { readonly kind: 'text'; readonly prompt: string }
)

/** The model's properties that a request is checked against. */
export interface RequestRules {
  readonly vocabSize: number
  /** Strings of the model's template that mark turns. In a message, such a string would forge a turn. */
  readonly controlStrings: readonly string[]
  /** The model's own stop strings. */
  readonly stopStrings: readonly string[]
  /** The roles whose contents web-llm inserts into a template with `String.replace`. */
  readonly replacedRoles: ReadonlySet<Message['role']>
  readonly thoughts: ModelThoughts
}

/**
 * Reads the rules for requests from a model's configuration and its tokenizer.
 * @param hasManifest true if the model has a manifest: web-llm then uses `String.replace` only for the system message
 */
export function readRequestRules({ config, tokenizer }: LoadedFiles, hasManifest: boolean): RequestRules {
  const template: ConversationTemplate = { ...config.conv_template, ...config.conv_config }
  const literals = listLiterals(template)
  const roles = hasManifest ? [] : (['user', 'assistant'] as const)
  return {
    vocabSize: config.vocab_size,
    controlStrings: findControlStrings(literals),
    stopStrings: template.stop_str,
    replacedRoles: new Set<Message['role']>([
      'system',
      ...roles.filter((role) => template.role_templates?.[role] !== undefined),
    ]),
    thoughts: readThoughts(template, literals, tokenizer),
  }
}

/** Matches the markers of turns in MLC's conversation templates, such as `<|im_end|>`, `</s>` and `[INST]`. */
const controlString = /<[^\s<>]+>|\[\/?[A-Z_]+\]/g

function findControlStrings(literals: readonly string[]): readonly string[] {
  return [...new Set(literals.flatMap((literal) => literal.match(controlString) ?? []))]
}

/** Returns the texts that web-llm writes around contents. */
function listLiterals({
  system_template,
  roles,
  role_templates,
  seps,
  stop_str,
}: ConversationTemplate): readonly string[] {
  return [
    system_template,
    ...Object.values(roles),
    ...Object.values(role_templates ?? {}),
    ...seps,
    ...stop_str,
  ]
}

/** What is written outside: these options need the model's thoughts, or are not sent. */
const notWritten = {
  stop: () => ({}),
  responseFormat: () => ({}),
  reasoning: () => ({}),
} as const satisfies OptionWriters

/**
 * Returns the form of an answer, with the thought before it. web-llm 0.2.86 compiles a grammar with XGrammar 0.1.27, as
 * `onnx()` does, so that both hold the same texts. Its own `json_object` with a schema would ignore keywords that XGrammar
 * does not know.
 * @returns undefined if the answer can be any text
 * @throws RivuletError `invalid-option` for a form that cannot be held
 */
function writeFormGrammar(options: RequestOptions, { family, isOpen }: ModelThoughts): string | undefined {
  const place = { family, isInThought: isOpen, canThink: options.reasoning !== 'off' }
  const demanded = describeAnswer(options, place)?.form
  if (!demanded) return undefined
  try {
    const form = lowerForm(composeThought(demanded), toByteSets)
    if (form.type === 'grammar') return form.grammar
    throw new UnsupportedForm(`web-llm has no grammar for the form "${form.type}".`)
  } catch (error) {
    if (!(error instanceof UnsupportedForm)) throw error
    return refuse(`"responseFormat" cannot be held. ${error.message}`, 'responseFormat')
  }
}

/** web-llm takes one grammar, not a form of several parts: a thought, and what follows it. */
function composeThought(form: TagFormat): TagFormat {
  return form.type === 'or' || form.type === 'sequence'
    ? { type: 'grammar', grammar: writeGbnf(composeGrammar(form)) }
    : form
}

/**
 * Converts a request to web-llm's format.
 * @throws RivuletError `invalid-option` for token ids that the model does not have, for forged control strings, and for a form
 *   of the answer that cannot be held
 */
export function describeRequest(request: GenerateRequest, rules: RequestRules): DescribedRequest {
  const { input, options } = request
  checkBias(options, rules)
  const thoughts = input.kind === 'chat' ? rules.thoughts : noThoughts
  const grammar = writeFormGrammar(options, thoughts)
  if (grammar !== undefined && input.kind === 'text') {
    // It would ignore the field.
    refuse(
      '"responseFormat" needs messages: web-llm holds no form of raw text. Leave "applyChatTemplate" out.',
      'responseFormat',
    )
  }
  const isOff = options.reasoning === 'off' && thoughts.emptyTokens !== undefined
  const { family, isOpen, emptyTokens = 0 } = thoughts
  const body = toOpenAiBody(request, notWritten)
  const parameters: DescribedRequest['parameters'] = {
    stream: true,
    stream_options: { include_usage: true },
    ...body,
    ...(grammar !== undefined && { response_format: { type: 'grammar', grammar } }),
    ...(isOff && { extra_body: { enable_thinking: false } }),
    ...(isOff && options.maxTokens !== undefined && { max_tokens: options.maxTokens + emptyTokens }),
  }
  const splitter = createAnswerSplitter({
    family,
    // A mark is text: web-llm decodes control tokens as their texts.
    isControl: () => false,
    tools: [],
    startsInThought: isOpen,
  })
  const described = { parameters, splitter, stop: options.stop }
  if (input.kind === 'text') return { kind: 'text', prompt: input.text, ...described }
  const messages = input.messages.map((message) => describeMessage(message, rules))
  return { kind: 'chat', messages, ...described }
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
