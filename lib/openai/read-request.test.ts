import { describe, expect, it } from 'vitest'
import { readRequest } from './read-request.js'

const chat = { model: 'local', messages: [{ role: 'user', content: 'Hello' }] }

describe('a request of OpenAI’s API', () => {
  it('is read with every option, by OpenAI’s names and vLLM’s', () => {
    const read = readRequest(
      {
        ...chat,
        stream: true,
        stream_options: { include_usage: true },
        max_completion_tokens: 5,
        temperature: 0.5,
        top_p: 0.9,
        top_k: 3,
        min_p: 0.1,
        repetition_penalty: 1.1,
        frequency_penalty: 0.2,
        presence_penalty: 0.3,
        logit_bias: { 5: 1 },
        seed: 7,
        stop: ['x'],
        chat_template_kwargs: { enable_thinking: false },
        logprobs: true,
        top_logprobs: 2,
        user: 'nobody',
      },
      true,
    )
    expect(read).toEqual({
      isChat: true,
      model: 'local',
      count: 1,
      prompts: [chat.messages],
      isStream: true,
      includesUsage: true,
      options: {
        maxTokens: 5,
        temperature: 0.5,
        topP: 0.9,
        topK: 3,
        minP: 0.1,
        repetitionPenalty: 1.1,
        frequencyPenalty: 0.2,
        presencePenalty: 0.3,
        logitBias: { 5: 1 },
        seed: 7,
        stop: ['x'],
        templateVariables: { enable_thinking: false },
        topLogprobs: 2,
      },
    })
  })

  it('may have null for a missing field, text parts, and the role developer for system', () => {
    const messages = [
      { role: 'developer', content: 'Be kind.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hel' },
          { type: 'text', text: 'lo' },
        ],
      },
    ]
    expect(readRequest({ model: 'local', messages, temperature: null, tools: null }, true)).toMatchObject({
      prompts: [
        [
          { role: 'system', content: 'Be kind.' },
          { role: 'user', content: 'Hello' },
        ],
      ],
      options: {},
    })
  })

  it('may continue its last message, with vLLM’s fields', () => {
    const continuing = { ...chat, continue_final_message: true }
    for (const request of [continuing, { ...continuing, add_generation_prompt: false }]) {
      expect(readRequest(request, true).options).toEqual({ continueFinalMessage: true })
    }
    const answer = { ...chat, continue_final_message: false, add_generation_prompt: true }
    expect(readRequest(answer, true).options).toEqual({})
  })

  it.each<[object]>([
    [{ tools: [] }],
    [{ tool_choice: 'none' }],
    [{ tool_choice: 'auto' }],
    [{ parallel_tool_calls: true }],
    [{ parallel_tool_calls: false }],
    [{ functions: [], function_call: 'none' }],
    [{ modalities: ['text'] }],
    [{ verbosity: 'medium' }],
    [{ top_logprobs: 0 }],
    [{ logprobs: false, top_logprobs: 0 }],
    [{ echo: false }],
    [{ best_of: 1 }],
    [{ n: 1 }],
    [{ suffix: '' }],
    [{ stream_options: { include_usage: true } }],
    [{ response_format: { type: 'text' } }],
    [{ store: false, metadata: {}, service_tier: 'auto', user: 'me' }],
  ])('may have a value that demands nothing: %j', (fields) => {
    expect(readRequest({ ...chat, ...fields }, true).options).toEqual({})
  })

  it('may demand a form, tools and reasoning', () => {
    const options = (fields: object) => readRequest({ ...chat, ...fields }, true).options
    const parameters = { type: 'object', properties: {} }
    const look = { name: 'look', description: 'Looks.', parameters }
    const tools = [
      { type: 'function', function: { ...look, strict: true } },
      { type: 'function', function: { name: 'wait', description: null, parameters: null } },
    ]
    expect(options({ tools, tool_choice: 'required', parallel_tool_calls: false })).toEqual({
      tools: [look, { name: 'wait' }],
      toolChoice: 'required',
      parallelToolCalls: false,
    })
    const one = { type: 'function', function: { name: 'wait' } }
    expect(options({ tools, tool_choice: one })).toMatchObject({ toolChoice: { name: 'wait' } })
    expect(options({ tools, tool_choice: 'none' })).toMatchObject({ toolChoice: 'none' })
    const forced = { tools, tool_choice: 'required', response_format: { type: 'json_object' } }
    expect(options(forced)).not.toHaveProperty('responseFormat')
    const json_schema = { name: 'a', schema: parameters, strict: true }
    expect(options({ response_format: { type: 'json_object' } })).toEqual({ responseFormat: 'json' })
    expect(options({ response_format: { type: 'json_schema', json_schema } })).toEqual({
      responseFormat: { jsonSchema: parameters },
    })
    expect(options({ reasoning_effort: 'none' })).toEqual({ reasoning: 'off' })
    expect(options({ reasoning_effort: 'low' })).toEqual({ reasoning: 'on' })
  })

  it('may contain tool calls, their results and reasoning', () => {
    const call = { id: 'a', type: 'function', function: { name: 'look', arguments: '{}' } }
    const messages = [
      ...chat.messages,
      { role: 'assistant', content: null, reasoning_content: 'Hm.', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'a', content: [{ type: 'text', text: 'sunny' }] },
    ]
    expect(readRequest({ model: 'local', messages }, true).prompts[0]).toEqual([
      ...chat.messages,
      { role: 'assistant', content: '', reasoning_content: 'Hm.', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'a', content: 'sunny' },
    ])
  })

  it('for a completion has a form, but no tools and no reasoning', () => {
    const completion = { model: 'local', prompt: 'Once' }
    const format = { response_format: { type: 'json_object' } }
    expect(readRequest({ ...completion, ...format }, false).options).toMatchObject({ responseFormat: 'json' })
    for (const fields of [{ tools: [{}] }, { tool_choice: 'required' }, { reasoning_effort: 'high' }]) {
      const [name] = Object.keys(fields)
      expect(() => readRequest({ ...completion, ...fields }, false)).toThrow(`"${name}" is not supported`)
    }
    const neutral = { tools: [], tool_choice: 'none', parallel_tool_calls: true, reasoning_effort: 'none' }
    expect(readRequest({ ...completion, ...neutral }, false).options).toEqual({ applyChatTemplate: false })
  })

  it('may have the values of OpenAI’s ranges', () => {
    const options = (fields: object) => readRequest({ ...chat, ...fields }, true).options
    expect(options({ top_p: 0 })).toEqual({ topP: 1e-6 })
    expect(options({ seed: -1 })).toEqual({ seed: 2 ** 32 - 1 })
    expect(options({ seed: 2 ** 53 + 2 ** 33 + 2 })).toEqual({ seed: 2 })
    expect(options({ seed: 1.5 })).toEqual({ seed: 1.5 })
    expect(options({ seed: 1e300 })).toEqual({ seed: 1e300 })
  })

  it('may have assistant messages without content, and refusals', () => {
    const messages = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: null, tool_calls: [] },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] },
    ]
    const [prompt] = readRequest({ model: 'local', messages }, true).prompts
    expect(prompt).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: '' },
      { role: 'assistant', content: 'No.' },
    ])
  })

  it('for a completion is raw text', () => {
    expect(readRequest({ model: 'local', prompt: 'Once' }, false)).toMatchObject({
      prompts: ['Once'],
      options: { applyChatTemplate: false },
    })
    const several = { model: 'local', prompt: ['Once', 'Twice'], max_tokens: 5, logprobs: 2 }
    expect(readRequest(several, false)).toMatchObject({
      prompts: ['Once', 'Twice'],
      options: { applyChatTemplate: false, maxTokens: 5, topLogprobs: 2 },
    })
  })

  it.each([
    [{ ...chat, tools: [{ type: 'function' }] }, 'tools'],
    [{ ...chat, tools: [{ type: 'function' }], tool_choice: 'auto' }, 'tools'],
    [{ ...chat, tools: { look: {} } }, 'tools'],
    [{ ...chat, tools: [{ type: 'custom', custom: { name: 'look' } }] }, 'tools'],
    [{ ...chat, tool_choice: 'sometimes' }, 'tool_choice'],
    [{ ...chat, tool_choice: { type: 'function' } }, 'tool_choice'],
    [{ ...chat, tool_choice: { type: 'allowed_tools', allowed_tools: {} } }, 'tool_choice'],
    [{ ...chat, parallel_tool_calls: 'yes' }, 'parallel_tool_calls'],
    [{ ...chat, reasoning_effort: 'huge' }, 'reasoning_effort'],
    [{ ...chat, modalities: ['text', 'audio'] }, 'modalities'],
    [{ ...chat, echo: true }, 'echo'],
    [{ ...chat, best_of: 2 }, 'best_of'],
    [{ ...chat, functions: [{}] }, 'functions'],
    [{ ...chat, unheard_of: 1 }, 'unheard_of'],
    [{ ...chat, constructor: 1 }, 'constructor'],
    [{ ...chat, logprobs: 2 }, 'logprobs'],
    [{ model: 'local', messages: [{ role: 'user', content: null }] }, 'messages[0].content'],
    [
      { model: 'local', messages: [{ role: 'assistant', content: '', function_call: {} }] },
      'messages[0].function_call',
    ],
    [{ ...chat, n: 0 }, 'n'],
    [{ ...chat, n: 17 }, 'n'],
    [{ ...chat, n: 1.5 }, 'n'],
    [{ ...chat, n: '2' }, 'n'],
    [{ ...chat, n: 2, best_of: 3 }, 'best_of'],
    [{ ...chat, response_format: { type: 'json_schema' } }, 'response_format'],
    [{ ...chat, response_format: { type: 'json_schema', json_schema: { name: 'a' } } }, 'response_format'],
    [{ ...chat, response_format: { type: 'grammar' } }, 'response_format'],
    [{ ...chat, response_format: 'json' }, 'response_format'],
    [{ ...chat, stream: 'yes' }, 'stream'],
    [{ ...chat, stream_options: 1 }, 'stream_options'],
    [{ ...chat, top_logprobs: 1 }, 'top_logprobs'],
    [{ ...chat, continue_final_message: 1 }, 'continue_final_message'],
    [{ ...chat, continue_final_message: true, add_generation_prompt: true }, 'add_generation_prompt'],
    [{ ...chat, add_generation_prompt: false }, 'add_generation_prompt'],
    [{ ...chat, model: undefined }, 'model'],
    [{ model: 'local', messages: 'Hello' }, 'messages'],
    [{ model: 'local', messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
  ])('is refused by the name of the field: %j', (body, name) => {
    expect(() => readRequest(body, true)).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringMatching(`^"${name.replace(/[[\]]/g, '.')}"`),
        details: { option: name },
      }),
    )
  })

  it('is refused if its body is not an object', () => {
    expect(() => readRequest('Hello', true)).toThrow(
      expect.objectContaining({ message: 'The request body must be a JSON object.', details: {} }),
    )
  })

  it.each([
    [{ model: 'local', prompt: ['a', 1] }, 'prompt'],
    [{ model: 'local', prompt: 'a', top_logprobs: 1 }, 'top_logprobs'],
    [{ model: 'local', prompt: 'a', echo: true }, 'echo'],
    [{ model: 'local', prompt: 'a', continue_final_message: true }, 'continue_final_message'],
  ])('for a completion is refused by the name of the field: %j', (body, name) => {
    expect(() => readRequest(body, false)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(`"${name}"`) }),
    )
  })
})
