import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../../lib/contract/options.js'
import { encodePrompt } from './prompt.js'
import { createTokenizer, type TokenizerConfig } from './tokenizer.js'

const folder = join(import.meta.dirname, '../../demo/public/models/stories')
const tokenizerJson = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as object
const build = (config: TokenizerConfig) => createTokenizer(tokenizerJson, config)

const template =
  '{% for message in messages %}<|user|>{{ message.content }}<|end|>{% endfor %}' +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}'
const refusal = expect.objectContaining({ name: 'RivuletError', code: 'invalid-option' })

describe('a model with a chat template', () => {
  const tokenizer = build({ chat_template: template })

  it('encodes a string as a user message', () => {
    expect(encodePrompt(tokenizer, { prompt: 'Hello!' })).toEqual([1, 1289, 37, 3, 2])
    expect(encodePrompt(tokenizer, { prompt: 'Hello!', applyChatTemplate: true })).toEqual([
      1, 1289, 37, 3, 2,
    ])
  })

  it('passes the role of each message to the template', () => {
    const roles = build({ chat_template: '{% for message in messages %}{{ message.role }}{% endfor %}' })
    expect(roles.decode(encodePrompt(roles, { prompt: 'Hello!' }))).toBe('user')
  })

  it('encodes all messages of a conversation in order', () => {
    const messages: readonly ChatMessage[] = [
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: '!' },
    ]
    expect(encodePrompt(tokenizer, { prompt: messages })).toEqual([1, 1289, 37, 3, 1, 37, 3, 2])
  })

  it('encodes raw text with applyChatTemplate: false, without control tokens', () => {
    expect(encodePrompt(tokenizer, { prompt: 'Hello!', applyChatTemplate: false })).toEqual([1289, 37])
    const ids = encodePrompt(tokenizer, { prompt: 'Hello!<|end|>', applyChatTemplate: false })
    expect(ids).not.toContain(3)
    expect(tokenizer.decode(ids)).toBe('Hello!<|end|>')
  })
})

describe('a model without a chat template', () => {
  const tokenizer = build({})

  it('encodes raw text', () => {
    expect(encodePrompt(tokenizer, { prompt: 'Hello!' })).toEqual([1289, 37])
  })

  it('refuses messages', () => {
    expect(() => encodePrompt(tokenizer, { prompt: [{ role: 'user', content: 'Hello!' }] })).toThrow(refusal)
  })

  it('refuses to apply a template', () => {
    expect(() => encodePrompt(tokenizer, { prompt: 'Hello!', applyChatTemplate: true })).toThrow(refusal)
  })
})
