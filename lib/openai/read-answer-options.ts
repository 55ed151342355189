import { refuse as refuseOption } from '../contract/check-options.js'
import type { AnswerOptions, ResponseFormat, Tool, ToolChoice } from '../contract/request.js'

type Json = Readonly<Record<string, unknown>>

/** The fields that say what an answer consists of. */
export const answerFields = [
  'response_format',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning_effort',
] as const

/**
 * Reads the form of the answer, the tools and the reasoning of a chat. How to choose among no tools is left out.
 * @throws RivuletError `invalid-option`, which names the field
 */
export function readAnswerOptions(fields: Json): AnswerOptions {
  const { parallel_tool_calls: isParallel, reasoning_effort: effort } = fields
  if (isParallel !== undefined && typeof isParallel !== 'boolean') {
    refuse('parallel_tool_calls', 'must be true or false.')
  }
  const format = readFormat(fields.response_format)
  const tools = readTools(fields.tools ?? [])
  const choice = readToolChoice(fields.tool_choice ?? 'auto')
  const isForced = choice !== 'auto' && choice !== 'none'
  return {
    // An answer with a demanded call has no text that could have a form.
    ...(format !== undefined && !isForced && { responseFormat: format }),
    ...(tools.length > 0 && { tools }),
    ...((tools.length > 0 || isForced) && fields.tool_choice !== undefined && { toolChoice: choice }),
    ...(tools.length > 0 && isParallel !== undefined && { parallelToolCalls: isParallel }),
    ...(effort !== undefined && { reasoning: readEffort(effort) }),
  }
}

/** Reads `response_format`. A schema is always held, so its `strict` changes nothing. */
function readFormat(format: unknown): ResponseFormat | undefined {
  if (format === undefined) return undefined
  const { type, json_schema } = asObject(format, 'response_format')
  if (type === 'text') return undefined
  if (type === 'json_object') return 'json'
  if (type !== 'json_schema') {
    return refuse('response_format', 'must have the type "text", "json_object" or "json_schema".')
  }
  const { schema } = asObject(json_schema, 'response_format')
  return { jsonSchema: asObject(schema, 'response_format') }
}

function readTools(tools: unknown): readonly Tool[] {
  if (!Array.isArray(tools)) return refuse('tools', 'must be a list.')
  return tools.map((tool: unknown): Tool => {
    const { type, function: called } = asObject(tool, 'tools')
    if (type !== 'function') return refuse('tools', 'must contain only tools of the type "function".')
    const { name, description, parameters } = asObject(called, 'tools')
    // `engine.generate` checks the values. As everywhere in OpenAI's API, null means the same as a missing field.
    return {
      name,
      ...(isPresent(description) && { description }),
      ...(isPresent(parameters) && { parameters }),
    } as Tool
  })
}

const isPresent = (value: unknown) => value !== undefined && value !== null

function readToolChoice(choice: unknown): ToolChoice {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return choice
  const { type, function: called } = (choice ?? {}) as Json
  const { name } = (called ?? {}) as Json
  if (type === 'function' && typeof name === 'string') return { name }
  return refuse(
    'tool_choice',
    'must be "auto", "none", "required" or { type: "function", function: { name } }.',
  )
}

const efforts: readonly unknown[] = ['minimal', 'low', 'medium', 'high', 'xhigh']

/** Reads how much the model reasons. Models in a page know only on and off: every effort but `none` is on. */
function readEffort(effort: unknown): 'on' | 'off' {
  if (effort === 'none') return 'off'
  return efforts.includes(effort)
    ? 'on'
    : refuse('reasoning_effort', `must be "none" or one of: ${efforts.join(', ')}.`)
}

function asObject(value: unknown, name: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  return refuse(name, 'must have the shape of OpenAI’s API.')
}

function refuse(name: string, why: string): never {
  refuseOption(`"${name}" ${why}`, name)
}
