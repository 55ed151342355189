// The templates of e2e/chat-templates have the shapes of the published ones.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createChatTemplate, type ChatTemplate } from '../chat-template.js'
import { findFamily } from './find-family.js'
import { findReasoningSwitch, listReasoning } from './reasoning-control.js'
import { readTemplateShape } from './template-shape.js'

const folder = join(import.meta.dirname, '../../../e2e/chat-templates/templates')
const readTemplate = (name: string): ChatTemplate => {
  const source = readFileSync(join(folder, `${name}.jinja`), 'utf8')
  return createChatTemplate(new Map([['default', source]]), { bos_token: '<s>', eos_token: '</s>' })
}

function find(name: string, tokens: readonly string[] = []) {
  const template = readTemplate(name)
  const shape = readTemplateShape(template)
  const family = findFamily({
    template: template.source,
    hasToken: (token) => tokens.includes(token),
    hasTools: shape.hasTools,
  })
  return { template, shape, family }
}

/** Describes a family in one line. */
function describeFamily(name: string, tokens?: readonly string[]): string {
  const { family } = find(name, tokens)
  if (family.kind === 'harmony') return `harmony${family.hasTools ? ' with tools' : ''}`
  const { thought, calls } = family
  return `${thought?.open ?? 'no thought'}, ${calls ? `${calls.open} ${calls.syntax.kind}` : 'no calls'}`
}

describe('the family of a template', () => {
  it.each([
    ['chatml', 'no thought, no calls'],
    ['llama3-shape', 'no thought, no calls'],
    ['gemma3-shape', 'no thought, no calls'],
    ['hermes-tools', 'no thought, <tool_call> json'],
    ['qwen3-shape', '<think>, <tool_call> json'],
    ['qwen35-shape', '<think>, no calls'],
    ['glm-shape', '<think>, <tool_call> elements'],
    ['llama31-shape', 'no thought,  json'],
    ['mistral-v3-shape', 'no thought, [TOOL_CALLS] json-list'],
    ['gemma4-shape', '<think>, <|tool_call> quoted'],
    ['qwq-shape', '<think>, no calls'],
    ['r1-distill-shape', '<think>, no calls'],
    ['exaone-shape', '<thought>, no calls'],
    ['smollm3-shape', '<think>, no calls'],
    ['harmony-shape', 'harmony with tools'],
  ])('is found: %s is %s', (name, family) => {
    expect(describeFamily(name)).toBe(family)
  })

  it('has calls only if the template writes the tools', () => {
    const { source } = readTemplate('qwen35-shape')
    const withTools = createChatTemplate(new Map([['default', `{{ tools | tojson if tools }}${source}`]]), {})
    expect(readTemplateShape(withTools)).toMatchObject({ hasTools: true, callForm: { arguments: 'object' } })
    const family = findFamily({ template: withTools.source, hasToken: () => false, hasTools: true })
    expect(family).toMatchObject({ calls: { open: '<tool_call>', syntax: { kind: 'elements' } } })
  })

  it('is found from the tokens where the template does not write the calls', () => {
    expect(describeFamily('lfm2-shape')).toBe('no thought, no calls')
    const tokens = ['<|tool_call_start|>', '<|tool_call_end|>', '<think>', '</think>']
    expect(describeFamily('lfm2-shape', tokens)).toBe('<think>, <|tool_call_start|> python')
    expect(describeFamily('granite-shape', ['<|tool_call|>'])).toBe('no thought, <|tool_call|> json-list')
    expect(describeFamily('gemma4-shape', ['<|channel>', '<channel|>'])).toBe(
      '<|channel>, <|tool_call> quoted',
    )
  })
})

describe('the shape of a template', () => {
  it.each([
    ['qwen3-shape', { arguments: 'object', content: '' }],
    ['llama31-shape', { arguments: 'object', content: '' }],
    ['mistral-v3-shape', { arguments: 'object', content: '' }],
    ['gemma4-shape', { arguments: 'object', content: '' }],
    ['harmony-shape', { arguments: 'object', content: '' }],
    ['lfm2-shape', undefined],
  ])('tells how it takes calls: %s', (name, form) => {
    expect(find(name).shape.callForm).toEqual(form)
  })

  it('tells which ids it takes, how many calls, and whether results', () => {
    expect(find('mistral-v3-shape').shape).toMatchObject({
      needsShortIds: true,
      hasParallelCalls: true,
      hasResults: true,
    })
    expect(find('qwen3-shape').shape).toMatchObject({
      needsShortIds: false,
      hasParallelCalls: true,
      hasResults: true,
    })
    expect(find('llama31-shape').shape).toMatchObject({ hasParallelCalls: false, hasResults: true })
    expect(find('chatml').shape).toMatchObject({ hasTools: false, callForm: undefined })
  })
})

it('a template that never ends for tools does not delay the load for long', () => {
  const source =
    '{% if tools %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}{{ messages[0].content }}'
  const startedAt = performance.now()
  const shape = readTemplateShape(createChatTemplate(new Map([['default', source]]), {}))
  expect(shape).toMatchObject({ hasTools: false, callForm: undefined })
  expect(performance.now() - startedAt).toBeLessThan(8000)
})

describe('the switch of a model’s reasoning', () => {
  it.each([
    ['qwen3-shape', { kind: 'variable', on: { enable_thinking: true }, off: { enable_thinking: false } }],
    ['qwen35-shape', { kind: 'variable', on: { enable_thinking: true }, off: { enable_thinking: false } }],
    ['glm-shape', { kind: 'variable', on: { enable_thinking: true }, off: { enable_thinking: false } }],
    ['smollm3-shape', { kind: 'variable', on: { enable_thinking: true }, off: { enable_thinking: false } }],
    ['granite-shape', { kind: 'variable', on: { thinking: true }, off: { thinking: false } }],
    ['deepseek-v3-shape', { kind: 'variable', on: { thinking: true }, off: { thinking: false } }],
    ['nemotron-shape', { kind: 'variable', on: { thinking: true }, off: { thinking: false } }],
    ['qwq-shape', { kind: 'start' }],
    ['r1-distill-shape', { kind: 'start' }],
  ])('is found: %s', (name, expected) => {
    expect(findReasoningSwitch(readTemplate(name))).toEqual(expected)
  })

  it('can be a word of the system message', () => {
    const source = "{% for m in messages %}{{ m.content.replace('/no_think', '') }}{% endfor %}<think>"
    expect(findReasoningSwitch(createChatTemplate(new Map([['default', source]]), {}))).toEqual({
      kind: 'word',
      on: '/think',
      off: '/no_think',
    })
  })

  it('decides what the option demands', () => {
    expect(listReasoning(find('qwen3-shape').family)).toEqual(['on', 'off', 'budget'])
    expect(listReasoning(find('chatml').family)).toEqual(['off'])
    expect(listReasoning(find('harmony-shape').family)).toEqual(['on', 'budget'])
  })
})
