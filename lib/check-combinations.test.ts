import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { checkRequest } from './check-request.js'
import type { ChatMessage, GenerateOptions, Prompt } from './contract/request.js'

const tools = [{ name: 'look' }]
const user: ChatMessage = { role: 'user', content: 'Weather?' }
const start: ChatMessage = { role: 'assistant', content: 'It is' }
const call = { id: 'a', type: 'function', function: { name: 'look', arguments: '{}' } } as const
const called: ChatMessage = { role: 'assistant', content: null, tool_calls: [call] }
const result = (tool_call_id: string): ChatMessage => ({ role: 'tool', tool_call_id, content: 'sunny' })
const refusal = (option: string) => expect.objectContaining({ code: 'invalid-option', details: { option } })

describe('options that contradict each other are refused by name', () => {
  it.each<[string, GenerateOptions, Prompt, string]>([
    ['a forced call without tools', { toolChoice: 'required' }, 'Hi', 'toolChoice'],
    ['a forced call of an unknown tool', { tools, toolChoice: { name: 'see' } }, 'Hi', 'toolChoice'],
    [
      'a forced call and a form',
      { tools, toolChoice: 'required', responseFormat: 'json' },
      'Hi',
      'toolChoice',
    ],
    [
      'tools of a continued message',
      { continueFinalMessage: true, tools },
      [user, start],
      'continueFinalMessage',
    ],
    [
      'a continued message that calls tools',
      { continueFinalMessage: true },
      [user, called],
      'continueFinalMessage',
    ],
  ])('%s', (_, options, prompt, option) => {
    expect(() => checkRequest(prompt, options)).toThrow(refusal(option))
  })

  it('and others are accepted', () => {
    expect(() => checkRequest('Hi', { tools, toolChoice: { name: 'look' } })).not.toThrow()
    expect(() => checkRequest('Hi', { tools, toolChoice: 'auto', responseFormat: 'json' })).not.toThrow()
    expect(() =>
      checkRequest([user, start], { continueFinalMessage: true, tools, toolChoice: 'none' }),
    ).not.toThrow()
  })
})

describe('a tool message', () => {
  it('answers a call of an earlier message', () => {
    expect(checkRequest([user, called, result('a')]).prompt).toHaveLength(3)
    const reason = refusal('messages[2].tool_call_id')
    expect(() => checkRequest([user, called, result('b')])).toThrow(reason)
    expect(() => checkRequest([user, start, result('a'), called])).toThrow(reason)
  })
})

describe('the arguments of an earlier call', () => {
  const withArguments = (text: string): ChatMessage => ({
    role: 'assistant',
    tool_calls: [{ ...call, function: { name: 'look', arguments: text } }],
  })

  it.each(['{"at":', '[1]', 'null', '5', '{}{}', 'now'])('must be the JSON text of an object: %s', (text) => {
    expect(() => checkRequest([user, withArguments(text)])).toThrow(refusal('messages[1].tool_calls'))
  })

  it('may be empty, as some servers send them', () => {
    const { prompt } = checkRequest([user, withArguments(' ')])
    expect(prompt[1]).toMatchObject({ tool_calls: [{ function: { arguments: '{}' } }] })
  })

  it('count as a part of the prompt, and have no half characters', () => {
    expect(() => checkRequest([user, withArguments('{"a":"\ud800"}')])).toThrow(refusal('prompt'))
    expect(() => checkRequest([user, withArguments(`{"a":"${'x'.repeat(2 ** 21)}"}`)])).toThrow(
      refusal('prompt'),
    )
  })
})

describe('tools', () => {
  it('may have the schemas of a library', () => {
    const { options } = checkRequest('Hi', {
      tools: [{ name: 'look', parameters: z.object({ at: z.string() }) }],
    })
    expect(options.tools?.[0]?.parameters).toMatchObject({
      type: 'object',
      properties: { at: { type: 'string' } },
    })
  })

  it.each<[string, unknown]>([
    ['with another name than tools have', [{ name: 'look up' }]],
    ['with fields that would be ignored', [{ name: 'look', execute() {} }]],
    ['in the shape of OpenAI', [{ type: 'function', function: { name: 'look' } }]],
    ['twice', [{ name: 'look' }, { name: 'look' }]],
    ['whose arguments are not an object', [{ name: 'look', parameters: z.string() }]],
    [
      'whose schema refers to itself',
      [{ name: 'look', parameters: { type: 'object', allOf: [{ $ref: '#' }] } }],
    ],
    ['that are none', ['look']],
    ['in no list', { look: {} }],
    ['that are too many', Array.from({ length: 129 }, (_, index) => ({ name: `t${index}` }))],
    [
      'that are too long together',
      Array.from({ length: 3 }, (_, index) => ({ name: `t${index}`, description: 'x'.repeat(2 ** 17) })),
    ],
  ])('are refused %s', (_, bad) => {
    const check = () => checkRequest('Hi', { tools: bad } as GenerateOptions)
    expect(check).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})
