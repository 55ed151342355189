import { checkReferences } from './check-references.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import type { JsonSchema, RequestFormat, RequestTool, ToolChoice, Reasoning } from './contract/request.js'
import { copyJson, type JsonLimits } from './copy-json.js'
import { describeValue } from './describe-value.js'
import { isWellFormed } from './is-well-formed.js'
import { isStandardSchema, readJsonSchema } from './standard-schema.js'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Checks the form of an answer. @throws RivuletError `invalid-option` */
export function checkFormat(value: unknown, limits: JsonLimits, name: string): RequestFormat {
  if (value === 'json') return { kind: 'json' }
  if (isStandardSchema(value)) return { kind: 'json-schema', schema: readSchema(value, limits, name) }
  if (isObject(value)) {
    const [[key, form] = [], ...others] = Object.entries(value)
    if (others.length === 0) {
      if (key === 'jsonSchema' && isObject(form))
        return { kind: 'json-schema', schema: readSchema(form, limits, name) }
      if (key === 'regex' && (form instanceof RegExp || typeof form === 'string'))
        return { kind: 'regex', pattern: checkText(readPattern(form, name), limits, name) }
      if (key === 'grammar' && typeof form === 'string')
        return { kind: 'grammar', grammar: checkText(form, limits, name) }
    }
  }
  return refuse(
    `"${name}" must be a Standard Schema, { jsonSchema }, "json", { regex } or { grammar }.`,
    name,
  )
}

function readPattern(regex: RegExp | string, name: string): string {
  if (typeof regex === 'string') return regex
  if (regex.flags === '') return regex.source
  return refuse(`The pattern of "${name}" must have no flags; got "${regex.flags}".`, name)
}

function checkText(text: string, { maxLength }: JsonLimits, name: string): string {
  if (text !== '' && text.length <= maxLength && isWellFormed(text)) return text
  return refuse(
    `The pattern or grammar of "${name}" must have 1 to ${maxLength} characters of Unicode.`,
    name,
  )
}

/** Returns the JSON schema of a schema, as a plain copy. @throws RivuletError `invalid-option` */
function readSchema(schema: unknown, limits: JsonLimits, name: string): JsonSchema {
  const source = isStandardSchema(schema) ? readJsonSchema(schema, name) : schema
  if (!isObject(source))
    refuse(`The schema of "${name}" must be an object with the keywords of JSON schema.`, name)
  // Casts: a copy of an object is an object.
  const copy = copyJson(source, limits, name) as JsonSchema
  checkReferences(copy, name)
  return copy
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
  if (!isObject(tool)) refuse(`${path} must be a tool { name, description, parameters }.`, option)
  refuseUnknown(path, tool, toolFields, 'field')
  const { name, description, parameters = noParameters } = tool
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name)) {
    refuse(
      `${path}.name must have 1 to 64 letters, digits, "_", "-" or "."; got ${describeValue(name)}.`,
      option,
    )
  }
  if (description !== undefined && typeof description !== 'string') {
    refuse(`${path}.description must be a string.`, option)
  }
  const schema = readSchema(parameters, limits, option)
  if ((schema.type ?? 'object') !== 'object') {
    refuse(
      `${path}.parameters must be the schema of an object; its type is ${describeValue(schema.type)}.`,
      option,
    )
  }
  return { name, ...(description !== undefined && { description }), parameters: schema }
}

const toolFields = ['name', 'description', 'parameters'] satisfies (keyof RequestTool)[]
const noParameters = { type: 'object', properties: {}, additionalProperties: false }

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
