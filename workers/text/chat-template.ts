import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { runTemplate } from './jinja/interpreter.js'
import { parseTemplate } from './jinja/parser.js'
import type { Statement } from './jinja/syntax.js'
import { Text } from './jinja/text.js'
import { Dict, List, type Value } from './jinja/values.js'

/** A part of a rendered prompt: text of the template, or the content of a message. */
export interface PromptPart {
  readonly text: string
  /** True if the part is the content of a message. Content is untrusted: no text in it may become a control token. */
  readonly isContent: boolean
}

/** A message as a template sees it: a role, and fields with values of JSON, or `MarkedText`. */
export interface TemplateMessage {
  readonly role: string
}

/** A text of a message that contains marks of the model's own, which can become control tokens. */
export class MarkedText {
  readonly parts: readonly PromptPart[]

  constructor(parts: readonly PromptPart[]) {
    this.parts = parts
  }
}

/** Variables of a template, with values of JSON. */
export type TemplateVariables = Readonly<Record<string, unknown>>

/** Renders conversations with the template of a model. */
export interface ChatTemplate {
  /** The Jinja templates, joined. */
  readonly source: string
  /**
   * Renders a conversation, and the start of the answer. The template sees the real contents. Each character of the prompt
   * is marked as text of the template or as content, whatever the template does to it.
   * @param variables more variables of the template. Their texts count as content.
   * @throws RivuletError `chat-template-failed`
   */
  render(messages: readonly TemplateMessage[], variables?: TemplateVariables): PromptPart[]
}

/**
 * Creates the chat template of a model.
 * @param sources Jinja templates by name. As in transformers, `tool_use` renders conversations with the variable `tools`,
 *   and `default` renders all others.
 * @param tokens the texts of control tokens, by the names that templates use: `bos_token`, `eos_token`
 */
export function createChatTemplate(
  sources: ReadonlyMap<string, string>,
  tokens: TemplateVariables,
): ChatTemplate {
  const parsed = new Map<string, readonly Statement[]>()

  function parse(name: string): readonly Statement[] {
    const statements = parsed.get(name) ?? parseTemplate(sources.get(name) ?? '')
    parsed.set(name, statements)
    return statements
  }

  return {
    source: [...sources.values()].join('\n'),
    render(messages, variables = {}) {
      const usesTools = variables.tools !== undefined && variables.tools !== null
      try {
        const text = runTemplate(
          parse(usesTools && sources.has('tool_use') ? 'tool_use' : 'default'),
          new Map([
            ...toValues(defaultVariables, Text.ofTemplate),
            ...toValues(tokens, Text.ofTemplate),
            ...toValues(variables, Text.ofContent),
            ['messages', new List(messages.map(toMessage))] as const,
          ]),
        )
        return text.pieces().map((piece) => ({ text: piece.value, isContent: piece.ranges.length > 0 }))
      } catch (error) {
        throw new RivuletError(
          'chat-template-failed',
          `The model's chat template failed: ${describeError(error).replace(/(?<![.!?])$/, '.')} ` +
            'Use roles in the order that the model supports, set another template with "chatTemplate", or pass a string ' +
            'with applyChatTemplate: false.',
          { cause: error },
        )
      }
    },
  }
}

/** The variables that transformers passes to each template. */
const defaultVariables = { tools: null, documents: null, add_generation_prompt: true }

type CreateText = (value: string) => Text

/** The role is one of a few words that this library checks, so it may be part of a control token: `<|user|>`. */
function toMessage(message: TemplateMessage): Dict {
  return new Dict(
    Object.entries(message).map(([name, value]: [string, unknown]) => [
      Text.ofContent(name),
      toValue(value, name === 'role' ? Text.ofTemplate : Text.ofContent),
    ]),
  )
}

function toValues(variables: TemplateVariables, createText: CreateText): (readonly [string, Value])[] {
  return Object.entries(variables).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, toValue(value, createText)] as const],
  )
}

/** Converts a value of JSON. A whole number is an integer: JavaScript does not tell 1 from 1.0. */
function toValue(value: unknown, createText: CreateText): Value {
  if (typeof value === 'string') return createText(value)
  if (value instanceof MarkedText) {
    const texts = value.parts.map(({ text, isContent }) =>
      isContent ? Text.ofContent(text) : Text.ofTemplate(text),
    )
    return Text.join(texts)
  }
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (typeof value === 'boolean') return value
  if (typeof value !== 'object' || value === null) return null
  if (Array.isArray(value)) return new List(value.map((item) => toValue(item, createText)))
  return new Dict(Object.entries(value).map(([key, item]) => [createText(key), toValue(item, createText)]))
}
