import { listOptions, type OptionName } from '../../lib/contract/option-table.js'
import { roles, textRoles, type RequestFormat } from '../../lib/contract/request.js'
import type { RemoteSupport, ServerKind } from '../../lib/contract/remote-options.js'
import type { ModelSupport } from '../../lib/contract/worker-api.js'
import type { Fields, OptionWriters } from '../openai-body.js'

/** The fields that demand a form of the answer. Undefined if the server cannot hold this form for this kind of input. */
type WriteFormat = (format: RequestFormat, input: 'chat' | 'text') => Fields | undefined

/** How a kind of server differs from OpenAI's API with vLLM's additional fields. */
export interface Dialect {
  /** What its list of models has as a model's `owned_by`; undefined if the kind cannot be told from the list. */
  readonly ownedBy?: string
  /** The host that runs this kind of server. */
  readonly host?: string
  /** How the server writes options. */
  readonly writers?: OptionWriters
  /** The options that the server ignores, or refuses as unknown. */
  readonly unsupported: readonly OptionName[]
  /** Why the server does not support tools, a form of the answer or reasoning, and what to do; undefined if it never does. */
  readonly reason?: string
  readonly formats: ModelSupport['formats']
  readonly writeFormat: WriteFormat
  readonly reasoning: ModelSupport['reasoning']
  /** The names of the field that a message's old reasoning has. Empty if the server takes no old reasoning. */
  readonly reasoningFields: readonly string[]
  /** True if the server can continue an answer in a form of JSON. Other servers would start the form again. */
  readonly continuesJson: boolean
  /** True if the server can continue the reasoning of an answer, with `continue_final_message: 'reasoning_content'`. */
  readonly continuesReasoning: boolean
  /** True if the server's own grammars silently ignore the keywords of a JSON schema that `findIgnoredKeyword` names. */
  readonly ignoresKeywords: boolean
  /**
   * True if the server gets rivulet's own grammar for each form, under the name `grammar`, from where the answer is. Then it holds
   * the same texts as the backends in the page. It also holds the model's reasoning to the grammar.
   */
  readonly takesGrammars: boolean
}

export const toolOptions = [
  'tools',
  'toolChoice',
  'parallelToolCalls',
] as const satisfies readonly OptionName[]
const answerOptions = [...toolOptions, 'responseFormat', 'reasoning'] as const
const samplers = ['topK', 'minP', 'repetitionPenalty'] as const

const openAiFormat: WriteFormat = (format, input) => {
  if (input === 'text') return undefined
  if (format.kind === 'json') return { response_format: { type: 'json_object' } }
  if (format.kind !== 'json-schema') return undefined
  const json_schema = { name: 'answer', schema: format.schema, strict: true }
  return { response_format: { type: 'json_schema', json_schema } }
}

const vllmFormat: WriteFormat = (format) => {
  if (format.kind === 'regex') return { structured_outputs: { regex: format.pattern } }
  if (format.kind === 'grammar') return { structured_outputs: { grammar: format.grammar } }
  return openAiFormat(format, 'chat')
}

/** vLLM before 0.11. Version 0.12 no longer knows these fields. */
export const guidedFormat: WriteFormat = (format) => {
  if (format.kind === 'regex') return { guided_regex: format.pattern }
  if (format.kind === 'grammar') return { guided_grammar: format.grammar }
  return openAiFormat(format, 'chat')
}

const sglangFormat: WriteFormat = (format) => {
  if (format.kind === 'regex') return { regex: format.pattern }
  if (format.kind === 'grammar') return { ebnf: format.grammar }
  return openAiFormat(format, 'chat')
}

const llamaCppFormat: WriteFormat = (format, input) => {
  if (format.kind === 'grammar') return { grammar: format.grammar }
  if (input === 'chat') return openAiFormat(format, input)
  if (format.kind === 'json') return { json_schema: { type: 'object' } }
  return format.kind === 'json-schema' ? { json_schema: format.schema } : undefined
}

/**
 * Sets the variables by which chat templates turn reasoning on and off: `enable_thinking` (Qwen3, GLM 4.5, SmolLM3, Nemotron),
 * `thinking` (DeepSeek V3.1, Granite, Kimi K2). Templates ignore other variables.
 */
const writeThinking =
  (budgetField: string): NonNullable<OptionWriters['reasoning']> =>
  (reasoning, { options }) => {
    const isOn = reasoning !== 'off'
    const chat_template_kwargs = { ...options.templateVariables, enable_thinking: isOn, thinking: isOn }
    return {
      chat_template_kwargs,
      ...(typeof reasoning === 'object' && { [budgetField]: reasoning.maxTokens }),
    }
  }

/**
 * llama.cpp's server reads `tool_choice` only as a text. Of a tool that must be called, the server gets only this tool.
 */
const nameOneTool = {
  tools: (tools, { options: { toolChoice } }) => {
    const named = typeof toolChoice === 'object' ? toolChoice.name : undefined
    const sent = tools.filter(({ name }) => named === undefined || name === named)
    return { tools: sent.map((tool) => ({ type: 'function', function: tool })) }
  },
  toolChoice: (choice) => ({ tool_choice: typeof choice === 'object' ? 'required' : choice }),
} as const satisfies OptionWriters

/**
 * A server of unknown kind has the fields of OpenAI and vLLM. What it does with a form of the answer, tools or reasoning is
 * not known: many servers ignore such fields. So it supports them only if the app says so.
 */
const unknownServer: Dialect = {
  unsupported: [...toolOptions],
  reason:
    'The kind of this server is unknown. Set remote({ server }), or remote({ supports }) to what it supports.',
  formats: [],
  writeFormat: vllmFormat,
  writers: {
    reasoning: (reasoning) =>
      typeof reasoning === 'object'
        ? { thinking_token_budget: reasoning.maxTokens }
        : { reasoning_effort: reasoning === 'off' ? 'none' : 'medium' },
  },
  reasoning: [],
  reasoningFields: [],
  continuesJson: false,
  continuesReasoning: false,
  ignoresKeywords: false,
  takesGrammars: false,
}

/**
 * The kinds of servers. Sources: llama.cpp tools/server/README.md and docs/function-calling.md; llama-cpp-python
 * server/types.py; Ollama openai/openai.go (`ChatCompletionRequest`, `FromChatRequest`); OpenAI "Create chat completion";
 * SGLang entrypoints/openai/protocol.py; vLLM entrypoints/openai/chat_completion/protocol.py. LiteLLM's proxy says that OpenAI
 * owns every model, so OpenAI is known by its host.
 */
const dialects: Readonly<Record<ServerKind, Dialect>> = {
  'llama-cpp': {
    ownedBy: 'llamacpp',
    writers: {
      repetitionPenalty: 'repeat_penalty',
      reasoning: writeThinking('reasoning_budget_tokens'),
      ...nameOneTool,
    },
    unsupported: [],
    formats: ['json', 'json-schema', 'grammar'],
    writeFormat: llamaCppFormat,
    reasoning: ['on', 'off', 'budget'],
    reasoningFields: ['reasoning_content'],
    // The server feeds the start of the message to the grammar (`common_sampler_init`), but not to a grammar of the request.
    continuesJson: true,
    continuesReasoning: true,
    ignoresKeywords: true,
    takesGrammars: false,
  },
  'llama-cpp-python': {
    ownedBy: 'me',
    writers: { repetitionPenalty: 'repeat_penalty' },
    // It calls tools only with a chat format that the server was started with.
    unsupported: [...toolOptions, 'reasoning', 'templateVariables'],
    formats: ['json', 'json-schema', 'regex', 'grammar'],
    writeFormat: llamaCppFormat,
    reasoning: [],
    reasoningFields: [],
    continuesJson: false,
    continuesReasoning: false,
    ignoresKeywords: true,
    takesGrammars: true,
  },
  ollama: {
    ownedBy: 'library',
    unsupported: [...samplers, 'logitBias', 'templateVariables', 'toolChoice', 'parallelToolCalls'],
    formats: ['json', 'json-schema'],
    writeFormat: openAiFormat,
    reasoning: ['on', 'off'],
    reasoningFields: ['reasoning'],
    continuesJson: false,
    continuesReasoning: false,
    ignoresKeywords: true,
    takesGrammars: false,
  },
  openai: {
    host: 'api.openai.com',
    writers: { maxTokens: 'max_completion_tokens' },
    unsupported: [...samplers, 'templateVariables'],
    formats: ['json', 'json-schema'],
    writeFormat: openAiFormat,
    reasoning: ['on', 'off'],
    reasoningFields: [],
    continuesJson: false,
    continuesReasoning: false,
    ignoresKeywords: false,
    takesGrammars: false,
  },
  sglang: {
    ownedBy: 'sglang',
    writers: { reasoning: writeThinking('') },
    unsupported: [],
    formats: ['json', 'json-schema', 'regex', 'grammar'],
    writeFormat: sglangFormat,
    reasoning: ['on', 'off'],
    reasoningFields: ['reasoning_content'],
    continuesJson: false,
    continuesReasoning: false,
    ignoresKeywords: true,
    takesGrammars: false,
  },
  vllm: {
    ownedBy: 'vllm',
    writers: { reasoning: writeThinking('thinking_token_budget') },
    unsupported: [],
    formats: ['json', 'json-schema', 'regex', 'grammar'],
    writeFormat: vllmFormat,
    reasoning: ['on', 'off', 'budget'],
    // The name changed with vLLM 0.12.
    reasoningFields: ['reasoning', 'reasoning_content'],
    continuesJson: false,
    continuesReasoning: false,
    ignoresKeywords: false,
    takesGrammars: false,
  },
}

/** Finds the kind of a server by its host, or by the owner that its list of models names. */
export function findServerKind(host: string, ownedBy: string | undefined): ServerKind | undefined {
  const kinds = Object.keys(dialects) as ServerKind[]
  return kinds.find((kind) => {
    const dialect = dialects[kind]
    return dialect.host === host || (ownedBy !== undefined && dialect.ownedBy === ownedBy)
  })
}

/** Returns how a kind of server differs from OpenAI's API with vLLM's additional fields. */
export function getDialect(kind: ServerKind | undefined): Dialect {
  return kind ? dialects[kind] : unknownServer
}

/**
 * Returns what a server supports.
 * @param named what the app says about it, which replaces what is known about its kind
 */
export function describeSupport(
  { unsupported, formats: knownFormats, reasoning: knownReasoning, reasoningFields, reason }: Dialect,
  named: RemoteSupport,
): Pick<ModelSupport, 'options' | 'formats' | 'reasoning' | 'roles' | 'hints' | 'continuedChannels'> {
  const { formats = knownFormats, reasoning = knownReasoning, tools } = named
  const isMissing = (name: OptionName) => {
    if (name === 'responseFormat') return formats.length === 0
    if (name === 'reasoning') return reasoning.length === 0
    const isAboutTools = toolOptions.some((option) => option === name)
    return isAboutTools && tools !== undefined ? !tools : unsupported.includes(name)
  }
  const [options, missing] = [
    listOptions('remote').filter((name) => !isMissing(name)),
    answerOptions.filter(isMissing),
  ]
  const hints = reason === undefined ? {} : Object.fromEntries(missing.map((name) => [name, reason]))
  return {
    options,
    formats,
    reasoning,
    roles: options.includes('tools') ? roles : textRoles,
    hints,
    continuedChannels: reasoningFields.length > 0 ? ['text', 'reasoning'] : ['text'],
  }
}
