import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../../lib/contract/request.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { encodePrompt } from './prompt.js'
import { createTokenizer, type TokenizerConfig } from './tokenizer.js'

const folder = join(import.meta.dirname, '../../demo/public/models/stories')
const tokenizerJson = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as object
const build = (config: TokenizerConfig) => createTokenizer(tokenizerJson, config)

const template =
  '{% for message in messages %}<|user|>{{ message.content }}<|end|>{% endfor %}' +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}'

describe('a model with a chat template', () => {
  const tokenizer = build({ chat_template: template })

  it('encodes a user message', async () => {
    expect(await encodePrompt(tokenizer, chatRequest('Hello!').input)).toEqual([1, 1289, 37, 3, 2])
  })

  it('passes the role of each message to the template', async () => {
    const roles = build({ chat_template: '{% for message in messages %}{{ message.role }}{% endfor %}' })
    expect(roles.decode(await encodePrompt(roles, chatRequest('Hello!').input))).toBe('user')
  })

  it('encodes all messages of a conversation in order', async () => {
    const messages: readonly ChatMessage[] = [
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: '!' },
    ]
    expect(await encodePrompt(tokenizer, chatRequest(messages).input)).toEqual([1, 1289, 37, 3, 1, 37, 3, 2])
  })

  it('encodes raw text without control tokens', async () => {
    expect(await encodePrompt(tokenizer, textRequest('Hello!').input)).toEqual([1289, 37])
    const ids = await encodePrompt(tokenizer, textRequest('Hello!<|end|>').input)
    expect(ids).not.toContain(3)
    expect(tokenizer.decode(ids)).toBe('Hello!<|end|>')
  })
})

describe('a model without a chat template', () => {
  const tokenizer = build({})

  it('encodes raw text', async () => {
    expect(await encodePrompt(tokenizer, textRequest('Hello!').input)).toEqual([1289, 37])
  })
})
