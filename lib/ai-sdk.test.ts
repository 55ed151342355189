// The real AI SDK with a scripted engine. ai-sdk.spec.ts has a real model.
import { generateObject, generateText, jsonSchema, streamText, type ModelMessage } from 'ai'
import { describe, expect, it } from 'vitest'
import { languageModel } from './ai-sdk.js'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'

const words = ['Once', ' upon']

function open(script: Script = { words }) {
  const engine = createScriptedEngine(() => script)
  return { engine, model: languageModel(engine) }
}

const schema = jsonSchema<{ at: string }>({ type: 'object', properties: { at: { type: 'string' } } })
const look = { description: 'Looks.', inputSchema: schema, execute: () => 'sunny' }

describe('a conversation of the AI SDK', () => {
  it('may contain reasoning, tool calls and tool results of earlier answers', async () => {
    const { engine, model } = open()
    const messages: ModelMessage[] = [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: [
          { type: 'reasoning', text: 'Hm.' },
          { type: 'tool-call', toolCallId: 'a', toolName: 'look', input: { at: 'Bern' } },
        ],
      },
      {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            toolCallId: 'a',
            toolName: 'look',
            output: { type: 'json', value: { sky: 'blue' } },
          },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'reasoning', text: 'So.' },
          { type: 'text', text: 'It is sunny.' },
        ],
      },
      { role: 'user', content: 'Thanks.' },
    ]
    expect((await generateText({ model, messages, allowSystemInMessages: true })).text).toBe(words.join(''))
    expect(engine.requests[0]?.prompt).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Weather?\n\nResult of look: {"sky":"blue"}' },
      { role: 'assistant', content: 'It is sunny.' },
      { role: 'user', content: 'Thanks.' },
    ])
  })

  it('with a file is refused before any work', async () => {
    const { engine, model } = open()
    const file = { type: 'file', data: new Uint8Array([1]), mediaType: 'image/png' } as const
    const asked = generateText({ model, messages: [{ role: 'user', content: [file] }], maxRetries: 0 })
    await expect(asked).rejects.toThrow(/messages\[0\] contains a file/)
    expect(engine.requests).toHaveLength(0)
  })
})

describe('what the engine does not support', () => {
  it('is refused before any work: objects, and tools', async () => {
    const { engine, model } = open()
    const asked = { model, prompt: 'Hello', maxRetries: 0 } as const
    await expect(generateObject({ ...asked, schema })).rejects.toThrow(/"responseFormat" must be text/)
    await expect(generateText({ ...asked, tools: { look } })).rejects.toThrow(/"tools" is not supported/)
    const errors: unknown[] = []
    await streamText({
      ...asked,
      tools: { look },
      onError: ({ error }) => void errors.push(error),
    }).consumeStream()
    expect(String(errors[0])).toMatch(/"tools" is not supported/)
    expect(engine.requests).toHaveLength(0)
  })

  it('is accepted where it demands nothing', async () => {
    const { model } = open()
    const { text } = await generateText({ model, prompt: 'Hello', tools: { look }, toolChoice: 'none' })
    expect(text).toBe(words.join(''))
  })
})

describe('the channels of an answer', () => {
  const calls: Script = {
    words: [
      { reasoning: 'Hm' },
      { reasoning: '.' },
      'I look.',
      { toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '' }] },
      { toolCalls: [{ index: 0, argumentsDelta: '' }] },
      { toolCalls: [{ index: 0, argumentsDelta: '{"at":"Bern"}' }] },
    ],
    end: 'tool-calls',
  }
  const call = { type: 'tool-call', toolCallId: 'a', toolName: 'look', input: '{"at":"Bern"}' }

  it('are the SDK’s parts, streamed', async () => {
    const { model } = open(calls)
    const { stream } = await model.doStream({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
    })
    const parts: unknown[] = []
    const reader = stream.getReader()
    for (let read = await reader.read(); !read.done; read = await reader.read()) parts.push(read.value)
    expect(parts.slice(1, -1)).toEqual([
      { type: 'reasoning-start', id: 'reasoning-0' },
      { type: 'reasoning-delta', id: 'reasoning-0', delta: 'Hm' },
      { type: 'reasoning-delta', id: 'reasoning-0', delta: '.' },
      { type: 'reasoning-end', id: 'reasoning-0' },
      { type: 'text-start', id: 'text-1' },
      { type: 'text-delta', id: 'text-1', delta: 'I look.' },
      { type: 'text-end', id: 'text-1' },
      { type: 'tool-input-start', id: 'a', toolName: 'look' },
      { type: 'tool-input-delta', id: 'a', delta: '{"at":"Bern"}' },
      { type: 'tool-input-end', id: 'a' },
      call,
    ])
    expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: { unified: 'tool-calls' } })
  })

  it('are the SDK’s content, as a whole', async () => {
    const { model } = open(calls)
    const { content, finishReason } = await model.doGenerate({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
    })
    expect(content).toEqual([{ type: 'reasoning', text: 'Hm.' }, { type: 'text', text: 'I look.' }, call])
    expect(finishReason.unified).toBe('tool-calls')
  })
})
