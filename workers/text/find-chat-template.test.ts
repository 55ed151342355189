import { describe, expect, it } from 'vitest'
import { readTemplates, readTemplateTokens } from './find-chat-template.js'

describe('the field chat_template', () => {
  it.each<[string, unknown, Record<string, string>]>([
    ['one template', 'T', { default: 'T' }],
    [
      'named templates',
      [
        { name: 'tool_use', template: 'U' },
        { name: 'default', template: 'T' },
      ],
      { tool_use: 'U', default: 'T' },
    ],
    ['invalid entries', [null, 5, { name: 'rag' }, { name: 1, template: 'T' }], {}],
    ['nothing', undefined, {}],
    ['something else', 5, {}],
  ])('can have %s', (_, field, expected) => {
    expect(Object.fromEntries(readTemplates(field))).toEqual(expected)
  })
})

describe('the tokens of a template', () => {
  it('are strings or objects in tokenizer_config.json; a missing token is undefined in the template', () => {
    const tokens = readTemplateTokens({
      bos_token: '<|endoftext|>',
      eos_token: { content: '<|end|>', lstrip: false },
      pad_token: null,
      additional_special_tokens: ['<a>', { content: '<b>' }, 5],
      extra_special_tokens: { image_token: '<image>' },
      model_max_length: 512,
    })
    expect(tokens).toEqual({
      bos_token: '<|endoftext|>',
      eos_token: '<|end|>',
      additional_special_tokens: ['<a>', '<b>'],
      image_token: '<image>',
    })
    expect(Object.keys(tokens)).not.toContain('pad_token')
  })
})
