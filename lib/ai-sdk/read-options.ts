import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4ProviderTool,
  SharedV4Warning,
} from '@ai-sdk/provider'
import { refuse } from '../contract/check-options.js'
import type { AnswerOptions, GenerateOptions, Tool, ToolChoice } from '../contract/request.js'
import type { ModelSupport } from '../contract/worker-api.js'

/**
 * Converts the SDK's options to options of `engine.generate`. For an undefined option, the model's default applies.
 * @throws RivuletError `invalid-option` for tools that run at a provider
 */
export function readOptions(
  options: LanguageModelV4CallOptions,
  supports: ModelSupport,
): { readonly options: GenerateOptions; readonly warnings: SharedV4Warning[] } {
  const { reasoning, warnings } = readReasoning(options.reasoning, supports)
  return {
    warnings,
    options: {
      maxTokens: options.maxOutputTokens,
      temperature: options.temperature,
      topP: options.topP,
      topK: options.topK,
      frequencyPenalty: options.frequencyPenalty,
      presencePenalty: options.presencePenalty,
      seed: options.seed,
      stop: options.stopSequences,
      signal: options.abortSignal,
      responseFormat: readFormat(options),
      ...readTools(options),
      reasoning,
      // `engine.generate` checks these names and values.
      ...(options.providerOptions?.rivulet as GenerateOptions | undefined),
    },
  }
}

function readFormat({
  responseFormat: format,
  toolChoice,
}: LanguageModelV4CallOptions): AnswerOptions['responseFormat'] {
  // An answer with a demanded call has no text that could have a form.
  const isForced = toolChoice?.type === 'required' || toolChoice?.type === 'tool'
  if (!format || format.type === 'text' || isForced) return undefined
  // Cast: the SDK's type of a JSON schema has no index signature.
  return format.schema ? { jsonSchema: format.schema as Readonly<Record<string, unknown>> } : 'json'
}

function readTools({
  tools = [],
  toolChoice,
}: LanguageModelV4CallOptions): Pick<AnswerOptions, 'tools' | 'toolChoice'> {
  if (tools.length === 0) return {}
  const choice: ToolChoice | undefined =
    toolChoice?.type === 'tool' ? { name: toolChoice.toolName } : toolChoice?.type
  return { tools: tools.map(readTool), toolChoice: choice }
}

function readTool(tool: LanguageModelV4FunctionTool | LanguageModelV4ProviderTool): Tool {
  if (tool.type !== 'function') {
    refuse(
      `"tools" contains "${tool.id}", which runs at another provider. Use a tool with "execute".`,
      'tools',
    )
  }
  const { name, description, inputSchema } = tool
  return { name, description, parameters: inputSchema as Readonly<Record<string, unknown>> }
}

/** Models in a page know only on and off. What the model cannot do is the SDK's warning, as for other providers. */
function readReasoning(
  effort: LanguageModelV4CallOptions['reasoning'] = 'provider-default',
  { options, reasoning }: ModelSupport,
): { readonly reasoning: AnswerOptions['reasoning']; readonly warnings: SharedV4Warning[] } {
  if (effort === 'provider-default') return { reasoning: undefined, warnings: [] }
  const demand = effort === 'none' ? 'off' : 'on'
  if (options.includes('reasoning') && reasoning.includes(demand)) return { reasoning: demand, warnings: [] }
  const isUnmet = demand === 'on' || options.includes('reasoning')
  return { reasoning: undefined, warnings: isUnmet ? [{ type: 'unsupported', feature: 'reasoning' }] : [] }
}
