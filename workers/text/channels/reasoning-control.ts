import type { Reasoning } from '../../../lib/contract/request.js'
import type { ModelSupport } from '../../../lib/contract/worker-api.js'
import type { ChatTemplate, PromptPart, TemplateMessage, TemplateVariables } from '../chat-template.js'
import { harmony, type AnswerFamily, type ThoughtMarks } from './answer-family.js'
import { tryRender } from './template-shape.js'

/** How a model's reasoning is turned on and off. */
export type ReasoningSwitch =
  /** A variable of the template. */
  | { readonly kind: 'variable'; readonly on: TemplateVariables; readonly off: TemplateVariables }
  /** A word in the system message. */
  | { readonly kind: 'word'; readonly on: string; readonly off: string }
  /** The template has none: the start of the answer decides, an open or an empty thought. */
  | { readonly kind: 'start' }

const question = { role: 'user', content: 'q1' } as const
const switches = new WeakMap<ChatTemplate, ReasoningSwitch>()

/** Finds a template's switch by rendering a question with each value. */
export function findReasoningSwitch(template: ChatTemplate): ReasoningSwitch {
  const known = switches.get(template)
  if (known) return known
  const found = probeSwitch(template)
  switches.set(template, found)
  return found
}

/** Variables that templates use as a switch: Qwen, GLM, SmolLM3, Gemma 4; Granite, DeepSeek V3.1; Mistral; Seed-OSS. */
const candidates: readonly { readonly on: TemplateVariables; readonly off: TemplateVariables }[] = [
  { on: { enable_thinking: true }, off: { enable_thinking: false } },
  { on: { thinking: true }, off: { thinking: false } },
  { on: { reasoning_effort: 'high' }, off: { reasoning_effort: 'none' } },
  { on: {}, off: { thinking_budget: 0 } },
]

function probeSwitch(template: ChatTemplate): ReasoningSwitch {
  const { source } = template
  for (const { on, off } of candidates) {
    const [name, value] = Object.entries(off)[0]!
    // Other templates write any effort into the prompt, which turns nothing off.
    const isKnown = source.includes(name) && (value !== 'none' || /['"]none['"]/.test(source))
    if (!isKnown) continue
    const texts = [tryRender(template, [question], on), tryRender(template, [question], off)]
    if (texts[0] !== undefined && texts[1] !== undefined && texts[0] !== texts[1]) {
      return { kind: 'variable', on, off }
    }
  }
  return source.includes('/no_think') ? { kind: 'word', on: '/think', off: '/no_think' } : { kind: 'start' }
}

/** Returns what the option `reasoning` can demand of a model. */
export function listReasoning(family: AnswerFamily): ModelSupport['reasoning'] {
  if (family.kind === 'harmony') return ['on', 'budget']
  // A model that does not reason is off already.
  return family.thought ? ['on', 'off', 'budget'] : ['off']
}

/** What the option `reasoning` changes in a prompt. */
export interface ReasonedPrompt {
  readonly messages: readonly TemplateMessage[]
  readonly variables: TemplateVariables
}

/** Turns the model's own switch, if it has one. */
export function switchReasoning(
  template: ChatTemplate,
  family: AnswerFamily,
  reasoning: Reasoning | undefined,
  messages: readonly TemplateMessage[],
): ReasonedPrompt {
  const hasSwitch = family.kind === 'marked' && family.thought !== undefined
  if (reasoning === undefined || !hasSwitch) return { messages, variables: {} }
  const found = findReasoningSwitch(template)
  const side = reasoning === 'off' ? 'off' : 'on'
  if (found.kind === 'variable') return { messages, variables: found[side] }
  return { messages: found.kind === 'word' ? addWord(messages, found[side]) : messages, variables: {} }
}

function addWord(messages: readonly TemplateMessage[], word: string): readonly TemplateMessage[] {
  const [first, ...rest] = messages
  const system =
    first?.role === 'system' ? (first as TemplateMessage & { readonly content: string }) : undefined
  if (!system) return [{ role: 'system', content: word } as TemplateMessage, ...messages]
  return [{ ...system, content: `${system.content}\n${word}` } as TemplateMessage, ...rest]
}

/** True if a prompt ends inside a thought, which the template has opened. */
export function endsInThought(family: AnswerFamily, prompt: readonly PromptPart[]): boolean {
  const last = prompt.at(-1)
  if (!last || last.isContent) return false
  const text = last.text.trimEnd()
  if (family.kind === 'harmony') return text.endsWith(`analysis${harmony.message}`)
  const { thought } = family
  if (!thought) return false
  return (
    text.endsWith(thought.open) ||
    (thought.label !== undefined && text.endsWith(thought.open + thought.label))
  )
}

/** Returns the marks at the start of an answer that has a thought, an empty thought, or the model's choice. */
export function startThought(
  family: AnswerFamily,
  reasoning: Reasoning | undefined,
  hasSwitch: boolean,
  isOpen: boolean,
): { readonly marks: string; readonly isOpen: boolean } {
  const unchanged = { marks: '', isOpen }
  if (family.kind === 'harmony' || !family.thought || reasoning === undefined) return unchanged
  const { thought } = family
  if (reasoning === 'off') {
    if (isOpen) return { marks: closeThought(thought), isOpen: false }
    return hasSwitch ? unchanged : { marks: openThought(thought) + closeThought(thought), isOpen: false }
  }
  return isOpen || hasSwitch ? unchanged : { marks: openThought(thought), isOpen: true }
}

export function openThought({ open, label }: ThoughtMarks): string {
  return open + (label ?? '') + lineAfter(open)
}

export function closeThought({ open, close }: ThoughtMarks): string {
  const line = lineAfter(open)
  return line + close + line + line
}

/** Families with marks in angle brackets write them on lines of their own, except Seed-OSS. */
function lineAfter(open: string): string {
  return open === '<think>' || open === '<thought>' || open === '<|channel>' ? '\n' : ''
}

/**
 * Returns the marks that end a thought.
 * @param mustCall true if the answer must call a tool: then the next message of gpt-oss chooses its channel itself
 */
export function endThought(family: AnswerFamily, mustCall: boolean): string {
  if (family.kind === 'harmony') {
    const next = `${harmony.end}${harmony.start}assistant`
    return mustCall ? next : `${next}${harmony.channel}final${harmony.message}`
  }
  return family.thought ? closeThought(family.thought) : ''
}
