import { refuse } from './contract/check-options.js'
import type { JsonSchema, RequestFormat, RequestTool, ToolChoice, Reasoning } from './contract/request.js'
import { copyJson, type JsonLimits } from './copy-json.js'
import { describeValue } from './describe-value.js'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Checks the form of an answer. @throws RivuletError `invalid-option` */
export function checkFormat(value: unknown, limits: JsonLimits, name: string): RequestFormat {
  if (value === 'json') return { kind: 'json' }
  if (isObject(value)) {
    const { jsonSchema, regex, grammar } = value
    if (isObject(jsonSchema)) return { kind: 'json-schema', schema: copySchema(jsonSchema, limits, name) }
    if (regex instanceof RegExp || typeof regex === 'string')
      return { kind: 'regex', pattern: readPattern(regex, name) }
    if (typeof grammar === 'string' && grammar.length <= limits.maxLength) return { kind: 'grammar', grammar }
  }
  return refuse(`"${name}" must be { jsonSchema }, "json", { regex } or { grammar }.`, name)
}

function readPattern(regex: RegExp | string, name: string): string {
  if (typeof regex === 'string') return regex
  if (regex.flags === '') return regex.source
  return refuse(`The pattern of "${name}" must have no flags; got "${regex.flags}".`, name)
}

function copySchema(schema: unknown, limits: JsonLimits, name: string): JsonSchema {
  // The caller has checked that the schema is an object.
  return copyJson(schema, limits, name) as JsonSchema
}

/** Checks the tools of a request. @throws RivuletError `invalid-option` */
export function checkTools(
  value: unknown,
  { maxTools, ...limits }: JsonLimits & { readonly maxTools: number },
  name: string,
): readonly RequestTool[] {
  if (!Array.isArray(value))
    refuse(`"${name}" must be a list of tools { name, description, parameters }.`, name)
  if (value.length > maxTools) refuse(`"${name}" takes up to ${maxTools} tools; got ${value.length}.`, name)
  const tools = value.map((tool: unknown, index) => checkTool(tool, limits, `${name}[${index}]`, name))
  const names = new Set(tools.map((tool) => tool.name))
  if (names.size < tools.length) refuse(`"${name}" contains two tools with the same name.`, name)
  copyJson(tools, { maxDepth: limits.maxDepth + 3, maxLength: limits.maxLength }, name)
  return tools
}

function checkTool(tool: unknown, limits: JsonLimits, path: string, option: string): RequestTool {
  const { name, description, parameters = noParameters } = (tool ?? {}) as Readonly<Record<string, unknown>>
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name)) {
    refuse(
      `${path}.name must have 1 to 64 letters, digits, "_", "-" or "."; got ${describeValue(name)}.`,
      option,
    )
  }
  if (description !== undefined && typeof description !== 'string') {
    refuse(`${path}.description must be a string.`, option)
  }
  if (!isObject(parameters)) refuse(`${path}.parameters must be a JSON schema.`, option)
  return {
    name,
    ...(description !== undefined && { description }),
    parameters: copySchema(parameters, limits, option),
  }
}

const noParameters = { type: 'object', properties: {} }

/** Checks which tools the model may call. `createRequest` checks the name. @throws RivuletError `invalid-option` */
export function checkToolChoice(value: unknown, name: string): ToolChoice {
  if (value === 'auto' || value === 'none' || value === 'required') return value
  if (isObject(value) && typeof value.name === 'string') return { name: value.name }
  return refuse(
    `"${name}" must be "auto", "none", "required" or { name }; got ${describeValue(value)}.`,
    name,
  )
}

/** Checks the option `reasoning`. @throws RivuletError `invalid-option` */
export function checkReasoning(value: unknown, name: string): Reasoning {
  if (value === 'on' || value === 'off') return value
  if (isObject(value) && Number.isSafeInteger(value.maxTokens) && Number(value.maxTokens) >= 1) {
    return { maxTokens: Number(value.maxTokens) }
  }
  return refuse(
    `"${name}" must be "on", "off" or { maxTokens }, with an integer of at least 1; got ${describeValue(value)}.`,
    name,
  )
}
