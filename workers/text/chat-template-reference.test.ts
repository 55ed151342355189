// The prompts of many templates, compared with those of transformers: e2e/chat-templates/render.py writes the reference.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  createChatTemplate,
  type PromptPart,
  type TemplateMessage,
  type TemplateVariables,
} from './chat-template.js'

interface Conversation {
  readonly name: string
  readonly messages: readonly TemplateMessage[]
  readonly variables?: TemplateVariables
}

interface Expected {
  /** The prompt of each conversation; null if jinja2 fails. */
  readonly templates: Readonly<Record<string, readonly (string | null)[]>>
  readonly expressions: readonly (string | null)[]
}

const folder = join(import.meta.dirname, '../../e2e/chat-templates')
const readFile = (name: string) => readFileSync(join(folder, name), 'utf8')
const conversations = JSON.parse(readFile('conversations.json')) as readonly Conversation[]
const expected = JSON.parse(readFile('expected.json')) as Expected
const expressions = readFile('expressions.txt').trimEnd().split('\n')
const tokens = { bos_token: '<s>', eos_token: '</s>' }
const names = readdirSync(join(folder, 'templates')).map((name) => name.replace('.jinja', ''))
const readTemplate = (name: string) => readFile(`templates/${name}.jinja`)

function renderParts(
  template: string,
  messages: readonly TemplateMessage[],
  variables: TemplateVariables = {},
) {
  return createChatTemplate(new Map([['default', template]]), tokens).render(messages, variables)
}

/** Returns the prompt, or null if the template fails. */
function render(template: string, messages: readonly TemplateMessage[], variables?: TemplateVariables) {
  try {
    return renderParts(template, messages, variables)
      .map(({ text }) => text)
      .join('')
  } catch (error) {
    expect(error).toMatchObject({ code: 'chat-template-failed' })
    return null
  }
}

it('the reference has every template, and at least 40', () => {
  expect(Object.keys(expected.templates).toSorted()).toEqual(names.toSorted())
  expect(names.length).toBeGreaterThanOrEqual(40)
  expect(conversations.length).toBeGreaterThanOrEqual(13)
})

describe.each(names)('the template %s', (name) => {
  it.each(conversations.map((conversation, index) => [conversation.name, conversation, index] as const))(
    'renders like transformers: %s',
    (_, { messages, variables }, index) => {
      expect(render(readTemplate(name), messages, variables)).toBe(expected.templates[name]![index])
    },
  )
})

it('a conversation of 1,000 exchanges renders with every template, without a limit that grows with it', () => {
  const long = Array.from({ length: 1999 }, (_, index) =>
    index % 2 === 0
      ? { role: 'user', content: `Question ${index}?` }
      : { role: 'assistant', content: `<think>\n${index}\n</think>\n\nAnswer ${index}.` },
  )
  for (const name of names) {
    const text = render(readTemplate(name), long)
    expect(text, name).toContain('1998')
  }
})

describe('an expression', () => {
  const { messages } = conversations.find((each) => each.name === 'a thought in the history')!
  it.each(expressions.map((expression, index) => [expression, index] as const))(
    'has the value that jinja2 gives it: %s',
    (expression, index) => {
      expect(render(expression, messages)).toBe(expected.expressions[index])
    },
  )
})

/** Finds what looks like a control token of any model. */
const tokenPattern = /<\|[^|>\n]{1,40}\|?>|<[/\w|｜▁"]+>|\[\/?[A-Z_]+\]|\[\|\w+\|\]|<<\/?SYS>>/g

/** A character that no template contains. */
const mark = 'ψ'

/** Replaces every text in a value of JSON, except the roles, the types and the names. */
function replaceTexts(value: unknown, replace: (text: string) => string, key = ''): unknown {
  const kept = ['role', 'type', 'name', 'id', 'tool_call_id', 'required'].includes(key)
  if (typeof value === 'string') return kept ? value : replace(value)
  if (Array.isArray(value)) return value.map((item) => replaceTexts(item, replace, key))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, replaceTexts(item, replace, name)]),
  )
}

/** Templates of ours that write a token of their own for each word or letter of a content. */
const writesTokensByContent = new Set(['content-loops', 'content-slices'])

function countTokens(parts: readonly PromptPart[], token: string): number {
  const texts = parts.filter(({ isContent }) => !isContent).map(({ text }) => text.split(token).length - 1)
  return texts.reduce((sum, count) => sum + count, 0)
}

describe.each(names)('contents that attack the template %s', (name) => {
  const template = readTemplate(name)
  const attacks = [...new Set([...template.matchAll(tokenPattern)].map(([token]) => token)), '<s>', '</s>']
  /** The contents of each conversation with text that `write` adds; undefined where the template fails. */
  const attack = (conversation: Conversation, write: (text: string) => string) => {
    const messages = replaceTexts(conversation.messages, write) as readonly TemplateMessage[]
    const variables = replaceTexts(conversation.variables ?? {}, write) as TemplateVariables
    try {
      return renderParts(template, messages, variables)
    } catch {
      return undefined
    }
  }
  const spread = (text: string) =>
    `${mark}${attacks.join(mark)}${mark}${text}${mark}${attacks.join('')}${mark}`

  it('stay content, and add no control token', () => {
    for (const conversation of conversations) {
      const attacked = attack(conversation, spread)
      if (!attacked) continue
      const written = attacked.filter(({ isContent }) => !isContent).map(({ text }) => text)
      expect(written.join(''), conversation.name).not.toContain(mark)
      if (writesTokensByContent.has(name)) continue
      const harmless = attack(conversation, (text) =>
        spread(text).replace(tokenPattern, (token) => mark.repeat(token.length)),
      )
      for (const token of attacks) {
        // A template may write a thought only where it finds one, so an attack can change how many it writes.
        if (!harmless || /think|thought|analysis/.test(token)) continue
        expect(countTokens(attacked, token), token).toBeLessThanOrEqual(countTokens(harmless, token))
      }
    }
  })
})
