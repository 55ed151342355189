import { RivuletError } from '../../../lib/contract/errors.js'
import type { ChatTemplate, TemplateMessage, TemplateVariables } from '../chat-template.js'

/** What a chat template does with tools, calls and thoughts, found by rendering short conversations. */
export interface TemplateShape {
  /** True if the template writes the variable `tools`. */
  readonly hasTools: boolean
  /** How the template takes the calls of an answer; undefined if it does not write them. */
  readonly callForm: CallForm | undefined
  /** True if it writes messages with the role `tool`. */
  readonly hasResults: boolean
  /** True if it writes several calls of one answer. */
  readonly hasParallelCalls: boolean
  /** True if it takes only ids of nine letters and digits, as Mistral's. */
  readonly needsShortIds: boolean
  /** The field of a message from which the template takes a thought. If it reads neither, it drops the thought. */
  readonly thoughtField: 'reasoning_content' | 'thinking'
}

/** How a template takes the calls of an answer. */
export interface CallForm {
  /** As in transformers, most templates take an object; some take the JSON text. */
  readonly arguments: 'object' | 'text'
  /** The content of an answer that only calls tools. */
  readonly content: '' | null
}

const forms: readonly CallForm[] = [
  { arguments: 'object', content: '' },
  { arguments: 'object', content: null },
  { arguments: 'text', content: '' },
  { arguments: 'text', content: null },
]

const question = { role: 'user', content: 'q1' } as const
const probeArguments = { call_key: 'call_value' }
const probeTools = [
  {
    type: 'function',
    function: {
      name: 'probe_tool',
      description: 'probe_description',
      parameters: {
        type: 'object',
        properties: { probe_key: { type: 'string', description: 'probe_property' } },
        required: ['probe_key'],
      },
    },
  },
] as const
const shortId = 'probe0000'
const longId = 'call_0123456789abcdef'

/** A template that renders more slowly counts as one that does not write the rest. The load of a model waits for it. */
const maxProbeMs = 3000

const shapes = new WeakMap<ChatTemplate, TemplateShape>()

/** Finds out what a template does. The result is kept: a template is probed once. */
export function readTemplateShape(template: ChatTemplate): TemplateShape {
  const known = shapes.get(template)
  if (known) return known
  const shape = probeTemplate(template)
  shapes.set(template, shape)
  return shape
}

function probeTemplate(template: ChatTemplate): TemplateShape {
  const startedAt = performance.now()
  const render = (messages: readonly TemplateMessage[], variables: TemplateVariables = {}) =>
    performance.now() - startedAt > maxProbeMs ? undefined : tryRender(template, messages, variables)
  const isOtherField = !template.source.includes('reasoning_content') && template.source.includes('thinking')
  const thoughtField: TemplateShape['thoughtField'] = isOtherField ? 'thinking' : 'reasoning_content'
  const noTools: TemplateShape = {
    thoughtField,
    hasTools: false,
    callForm: undefined,
    hasResults: false,
    hasParallelCalls: false,
    needsShortIds: false,
  }
  if (render([question]) === undefined) return noTools
  const hasTools = render([question], { tools: probeTools })?.includes('probe_tool') ?? false
  const variables = hasTools ? { tools: probeTools } : {}
  const call = (form: CallForm, id: string, names: readonly string[]) =>
    render([question, createCalls(form, id, names), ...names.map(() => createResult(id))], variables) ?? ''
  const findForm = (id: string) => forms.find((form) => isWritten(call(form, id, ['probe_call'])))
  const callForm = findForm(longId) ?? findForm(shortId)
  const needsShortIds = callForm !== undefined && findForm(longId) === undefined
  const id = needsShortIds ? shortId : longId
  const form = callForm ?? forms[0]!
  return {
    thoughtField,
    hasTools,
    callForm,
    hasResults: call(form, id, ['probe_call']).includes('probe_result'),
    hasParallelCalls: !callForm || call(callForm, id, ['probe_call', 'probe_more']).includes('probe_more'),
    needsShortIds,
  }
}

/** True if the call is there, and its arguments are neither a Python object nor JSON inside JSON. */
function isWritten(text: string): boolean {
  return (
    text.includes('probe_call') &&
    text.includes('call_value') &&
    !text.includes("'call_key'") &&
    !text.includes('\\"call_key')
  )
}

function createCalls(form: CallForm, id: string, names: readonly string[]): TemplateMessage {
  const args = form.arguments === 'object' ? probeArguments : JSON.stringify(probeArguments)
  const calls = names.map((name) => ({ id, type: 'function', function: { name, arguments: args } }))
  return { role: 'assistant', content: form.content, tool_calls: calls } as TemplateMessage
}

function createResult(id: string): TemplateMessage {
  return { role: 'tool', tool_call_id: id, name: 'probe_call', content: 'probe_result' } as TemplateMessage
}

/** Returns the prompt as one text; undefined if the template fails. */
export function tryRender(
  template: ChatTemplate,
  messages: readonly TemplateMessage[],
  variables: TemplateVariables = {},
): string | undefined {
  try {
    return template
      .render(messages, variables)
      .map(({ text }) => text)
      .join('')
  } catch (error) {
    if (error instanceof RivuletError) return undefined
    throw error
  }
}
