import type {
  GenerateRequest,
  JsonSchema,
  RequestFormat,
  RequestMessage,
  RequestTool,
  ToolChoice,
} from '../../../lib/contract/request.js'
import type { OptionName } from '../../../lib/contract/option-table.js'

/** The options that the Responses API has. It has no penalties, no seed and no stop strings. */
export const responseOptions: readonly OptionName[] = [
  'maxTokens',
  'temperature',
  'topP',
  'responseFormat',
  'tools',
  'toolChoice',
  'parallelToolCalls',
  'reasoning',
]

/** Returns the body of a request, without what says how the answer is sent. */
export function describeResponse(
  model: string,
  extraBody: Readonly<Record<string, unknown>>,
  { options }: GenerateRequest,
  messages: readonly RequestMessage[],
): Record<string, unknown> {
  const { maxTokens, temperature, topP, responseFormat, tools, toolChoice, parallelToolCalls, reasoning } =
    options
  const fields = {
    max_output_tokens: maxTokens,
    temperature,
    top_p: topP,
    text: responseFormat && { format: writeFormat(responseFormat) },
    tools: tools?.map(writeTool),
    tool_choice: toolChoice && writeToolChoice(toolChoice),
    parallel_tool_calls: parallelToolCalls,
    reasoning: reasoning && { effort: reasoning === 'off' ? 'none' : 'medium' },
  }
  const sent = Object.entries(fields).filter(([, value]) => value !== undefined)
  return { ...extraBody, model, input: messages.flatMap(writeMessage), ...Object.fromEntries(sent) }
}

/** Returns the items of a message. Old reasoning is left out: servers take back only their own reasoning items. */
function writeMessage(message: RequestMessage): readonly object[] {
  if (message.role === 'tool') {
    return [{ type: 'function_call_output', call_id: message.tool_call_id, output: message.content }]
  }
  const { role, content } = message
  const calls = role === 'assistant' ? (message.tool_calls ?? []) : []
  const text = content === '' && calls.length > 0 ? [] : [{ type: 'message', role, content }]
  return [
    ...text,
    ...calls.map(({ id, function: { name, arguments: args } }) => ({
      type: 'function_call',
      call_id: id,
      name,
      arguments: args,
    })),
  ]
}

function writeTool({ name, description, parameters }: RequestTool): object {
  return {
    type: 'function',
    name,
    ...(description !== undefined && { description }),
    parameters,
    strict: isStrict(parameters),
  }
}

function writeToolChoice(choice: ToolChoice): unknown {
  return typeof choice === 'string' ? choice : { type: 'function', name: choice.name }
}

function writeFormat(format: RequestFormat): object {
  return format.kind === 'json-schema'
    ? { type: 'json_schema', name: 'answer', schema: format.schema, strict: isStrict(format.schema) }
    : { type: 'json_object' }
}

/**
 * True if every object of a schema lists all its properties as required and allows no others. OpenAI refuses `strict` for any
 * other schema (https://platform.openai.com/docs/guides/structured-outputs).
 */
function isStrict(schema: JsonSchema): boolean {
  const { properties, required, additionalProperties } = schema
  if (typeof properties === 'object' && properties !== null) {
    const names = Array.isArray(required) ? new Set<unknown>(required) : new Set()
    const isClosed =
      additionalProperties === false && Object.keys(properties).every((name) => names.has(name))
    if (!isClosed) return false
  } else if (schema.type === 'object') return false
  return Object.values(schema).every(isStrictPart)
}

function isStrictPart(part: unknown): boolean {
  if (Array.isArray(part)) return part.every(isStrictPart)
  return typeof part !== 'object' || part === null || isStrict(part as JsonSchema)
}
