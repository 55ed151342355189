import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RequestMessage } from '../../lib/contract/request.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { encodePrompt } from './prompt.js'
import { createChatTemplate } from './chat-template.js'
import { createTokenizer } from './tokenizer.js'

const folder = join(import.meta.dirname, '../../demo/public/models/stories')
const tokenizerJson = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as object
const tokenizer = createTokenizer(tokenizerJson, {})
const build = (source: string) => ({
  tokenizer,
  chatTemplate: createChatTemplate(new Map([['default', source]]), {}),
})

const template =
  '{% for message in messages %}<|user|>{{ message.content }}<|end|>{% endfor %}' +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}'

describe('a model with a chat template', () => {
  const encoder = build(template)

  it('encodes a user message', async () => {
    expect(await encodePrompt(encoder, chatRequest('Hello!'))).toEqual([1, 1289, 37, 3, 2])
  })

  it('passes the role of each message to the template', async () => {
    const roles = build('{% for message in messages %}{{ message.role }}{% endfor %}')
    expect(tokenizer.decode(await encodePrompt(roles, chatRequest('Hello!')))).toBe('user')
  })

  it('encodes all messages of a conversation in order', async () => {
    const messages: readonly RequestMessage[] = [
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: '!' },
    ]
    expect(await encodePrompt(encoder, chatRequest(messages))).toEqual([1, 1289, 37, 3, 1, 37, 3, 2])
  })

  it('passes the variables of the request to the template', async () => {
    const thinking = build('{{ messages[0].content }}{% if not thinking %}<|end|>{% endif %}')
    const encode = (options: object) => encodePrompt(thinking, chatRequest('Hello!', options))
    expect(await encode({ templateVariables: { thinking: true } })).toEqual([1289, 37])
    expect(await encode({ templateVariables: { thinking: false } })).toEqual([1289, 37, 3])
  })

  it('encodes raw text without control tokens', async () => {
    expect(await encodePrompt(encoder, textRequest('Hello!'))).toEqual([1289, 37])
    const ids = await encodePrompt(encoder, textRequest('Hello!<|end|>'))
    expect(ids).not.toContain(3)
    expect(tokenizer.decode(ids)).toBe('Hello!<|end|>')
  })
})

describe('a model without a chat template', () => {
  const encoder = { tokenizer, chatTemplate: undefined }

  it('encodes raw text', async () => {
    expect(await encodePrompt(encoder, textRequest('Hello!'))).toEqual([1289, 37])
  })
})
