// The real AI SDK with a scripted engine. ai-sdk.spec.ts has a real model.
import {
  generateObject,
  generateText,
  isStepCount,
  jsonSchema,
  Output,
  streamText,
  type ModelMessage,
} from 'ai'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { languageModel } from './ai-sdk.js'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'

const words = ['Once', ' upon']

function open(script: Script = { words }) {
  const engine = createScriptedEngine(() => script)
  return { engine, model: languageModel(engine) }
}

const schema = jsonSchema<{ at: string }>({ type: 'object', properties: { at: { type: 'string' } } })
const look = { description: 'Looks.', inputSchema: schema, execute: () => 'sunny' }

/** Makes the scripted engine one without any of the options about answers, and without the role of tools. */
function narrow(engine: ReturnType<typeof open>['engine']) {
  const roles = ['system', 'user', 'assistant']
  Object.assign(engine.info, { supports: { ...engine.info.supports, options: [], roles } })
}

describe('a conversation of the AI SDK', () => {
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
  const ask = (model: ReturnType<typeof languageModel>) =>
    generateText({ model, messages, allowSystemInMessages: true })

  it('may contain reasoning, tool calls and tool results of earlier answers', async () => {
    const { engine, model } = open()
    expect((await ask(model)).text).toBe(words.join(''))
    expect(engine.requests[0]?.prompt).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: '',
        reasoning_content: 'Hm.',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'look', arguments: '{"at":"Bern"}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: '{"sky":"blue"}' },
      { role: 'assistant', content: 'It is sunny.', reasoning_content: 'So.' },
      { role: 'user', content: 'Thanks.' },
    ])
  })

  it('has the results as messages of the user for a model without tools', async () => {
    const { engine, model } = open()
    narrow(engine)
    expect((await ask(model)).text).toBe(words.join(''))
    expect(engine.requests[0]?.prompt).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Weather?\n\nResult of look: {"sky":"blue"}' },
      { role: 'assistant', content: 'It is sunny.', reasoning_content: 'So.' },
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
    narrow(engine)
    const asked = { model, prompt: 'Hello', maxRetries: 0 } as const
    await expect(generateObject({ ...asked, schema })).rejects.toThrow(/does not support "responseFormat"/)
    await expect(generateText({ ...asked, tools: { look } })).rejects.toThrow(/does not support "tools"/)
    const errors: unknown[] = []
    await streamText({
      ...asked,
      tools: { look },
      onError: ({ error }) => void errors.push(error),
    }).consumeStream()
    expect(String(errors[0])).toMatch(/does not support "tools"/)
  })

  it('is accepted where it demands nothing', async () => {
    const { engine, model } = open()
    narrow(engine)
    const { text } = await generateText({ model, prompt: 'Hello', tools: { look }, toolChoice: 'none' })
    expect(text).toBe(words.join(''))
  })

  it('is the SDK’s warning for a reasoning that the model cannot control', async () => {
    const { engine, model } = open()
    const ask = (reasoning: 'none' | 'high' | 'provider-default') =>
      model.doGenerate({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }], reasoning })
    expect((await ask('high')).warnings).toEqual([])
    expect(engine.requests[0]?.options.reasoning).toBe('on')
    await ask('none')
    expect(engine.requests[1]?.options.reasoning).toBe('off')
    narrow(engine)
    expect((await ask('high')).warnings).toEqual([{ type: 'unsupported', feature: 'reasoning' }])
    expect((await ask('none')).warnings).toEqual([])
    expect(engine.requests.slice(2).map(({ options }) => options.reasoning)).toEqual([undefined, undefined])
  })

  it('is refused: a tool of another provider', async () => {
    const { model } = open()
    const tool = { type: 'provider', id: 'openai.web_search', name: 'search', args: {} } as const
    const asked = model.doGenerate({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
      tools: [tool],
    })
    await expect(asked).rejects.toThrow(/"openai.web_search"/)
  })
})

describe('an object of the AI SDK', () => {
  const place = z.object({ city: z.string(), days: z.number() })
  const value = { city: 'Bern', days: 3 }
  const script: Script = { words: ['{"city":"Be', 'rn","days":', '3}'] }

  it('is the answer to generateObject and to Output.object', async () => {
    const { engine, model } = open(script)
    expect((await generateObject({ model, prompt: 'Where?', schema: place })).object).toEqual(value)
    const { output } = await generateText({
      model,
      prompt: 'Where?',
      output: Output.object({ schema: place }),
    })
    expect(output).toEqual(value)
    for (const { options } of engine.requests) {
      expect(options.responseFormat).toMatchObject({
        kind: 'json-schema',
        schema: { type: 'object', required: ['city', 'days'] },
      })
    }
  })

  it('grows with the stream', async () => {
    const { model } = open(script)
    const seen: unknown[] = []
    const { partialOutputStream, output } = streamText({
      model,
      prompt: 'Where?',
      output: Output.object({ schema: place }),
    })
    for await (const partial of partialOutputStream) seen.push(partial)
    expect(seen).toEqual([{ city: 'Be' }, { city: 'Bern' }, value])
    expect(await output).toEqual(value)
  })

  it('without a schema is any JSON', async () => {
    const { engine, model } = open(script)
    expect((await generateObject({ model, prompt: 'Where?', output: 'no-schema' })).object).toEqual(value)
    expect(engine.requests[0]?.options.responseFormat).toEqual({ kind: 'json' })
  })

  it('that is cut off is the SDK’s error', async () => {
    const { model } = open({ words: ['{"city":"Be'], end: 'length' })
    const asked = generateObject({ model, prompt: 'Where?', schema: place })
    await expect(asked).rejects.toMatchObject({ finishReason: 'length', text: '{"city":"Be' })
  })
})

describe('a tool of the AI SDK', () => {
  const scripts = (): Script[] => [
    {
      words: [
        { reasoning: 'Hm.' },
        { toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '{"at":' }] },
        { toolCalls: [{ index: 0, argumentsDelta: '"Bern"}' }] },
        { toolCalls: [{ index: 1, id: 'b', name: 'look', argumentsDelta: '{"at":"Genf"}' }] },
      ],
      end: 'tool-calls',
    },
    { words },
  ]
  const openWithScripts = () => {
    const list = scripts()
    const engine = createScriptedEngine(() => list.shift()!)
    return { engine, model: languageModel(engine) }
  }
  const asked = { prompt: 'Weather?', stopWhen: isStepCount(3) } as const

  it.each(['generateText', 'streamText'])('runs, and its results go back to the model: %s', async (kind) => {
    const { engine, model } = openWithScripts()
    const seen: unknown[] = []
    const tools = {
      look: {
        ...look,
        execute: (input: { at: string }) => {
          seen.push(input)
          return `sunny in ${input.at}`
        },
      },
    }
    const options = { ...asked, model, tools, toolChoice: 'auto' } as const
    const { text } = kind === 'generateText' ? await generateText(options) : streamText(options)
    expect(await text).toBe(words.join(''))
    expect(seen).toEqual([{ at: 'Bern' }, { at: 'Genf' }])
    expect(engine.requests[0]?.options).toMatchObject({
      toolChoice: 'auto',
      tools: [{ name: 'look', description: 'Looks.', parameters: { type: 'object' } }],
    })
    expect(engine.requests[1]?.prompt).toMatchObject([
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        reasoning_content: 'Hm.',
        tool_calls: [
          { id: 'a', function: { name: 'look', arguments: '{"at":"Bern"}' } },
          { id: 'b', function: { arguments: '{"at":"Genf"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'a', content: 'sunny in Bern' },
      { role: 'tool', tool_call_id: 'b', content: 'sunny in Genf' },
    ])
  })

  it('can be demanded by name, also for an answer with an object', async () => {
    const { engine, model } = openWithScripts()
    await generateText({
      model,
      prompt: 'Hi',
      tools: { look },
      toolChoice: { type: 'tool', toolName: 'look' },
    })
    expect(engine.requests[0]?.options.toolChoice).toEqual({ name: 'look' })
    const { model: other } = openWithScripts()
    const output = Output.object({ schema: z.object({ city: z.string() }) })
    const result = generateText({
      model: other,
      prompt: 'Hi',
      tools: { look },
      toolChoice: 'required',
      output,
    })
    expect((await result).toolCalls).toHaveLength(2)
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
