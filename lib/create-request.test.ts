import { describe, expect, it } from 'vitest'
import { checkRequest } from './check-request.js'
import { listOptions, optionNames, type OptionName } from './contract/option-table.js'
import type { GenerateOptions, Prompt } from './contract/request.js'
import type { ModelInfo, ModelSupport } from './contract/worker-api.js'
import { createRequest } from './create-request.js'
import { allSupport } from './model-support.test-support.js'

function create(prompt: Prompt, options: GenerateOptions, support: Partial<ModelSupport> = {}) {
  const info: ModelInfo = {
    model: 'scripted',
    backend: 'scripted',
    device: 'wasm',
    deviceDescription: 'none',
    dtype: undefined,
    host: 'tab',
    execution: 'growing-cache',
    warnings: [],
    contextLength: undefined,
    supports: { ...allSupport, ...support },
  }
  return createRequest(checkRequest(prompt, options), info)
}

const user = { role: 'user', content: 'Hi' } as const
const refusal = (option: string) => expect.objectContaining({ code: 'invalid-option', details: { option } })

/** One accepted value that is not off, for each option. */
const values: { readonly [Name in OptionName]: GenerateOptions[Name] } = {
  maxTokens: 5,
  temperature: 0.5,
  topK: 3,
  topP: 0.9,
  minP: 0.1,
  repetitionPenalty: 1.1,
  frequencyPenalty: 0.2,
  presencePenalty: 0.3,
  logitBias: { 5: 1 },
  seed: 7,
  topLogprobs: 0,
  stop: 'END',
  templateVariables: { enable_thinking: false },
  responseFormat: 'json',
  tools: [{ name: 'clock' }],
  toolChoice: 'required',
  parallelToolCalls: false,
  reasoning: 'off',
}

describe('an option that the model does not support', () => {
  it.each(optionNames)('is refused by name: "%s"', (name) => {
    const supported = optionNames.filter((other) => other !== name)
    const needsTools = name === 'toolChoice' || name === 'parallelToolCalls'
    const options = { ...(needsTools && { tools: values.tools }), [name]: values[name] }
    expect(() => create('Hi', options, { options: supported })).toThrow(refusal(name))
    expect(create('Hi', options).options).toHaveProperty(name)
  })

  it('is accepted, and not sent, with the value that turns it off', () => {
    const off = { topK: 0, minP: 0, stop: [], templateVariables: {}, tools: [] }
    const { options } = create('Hi', off, { options: listOptions('web-llm') })
    expect(options).toEqual({ stop: [] })
  })

  it('is accepted, and not sent, if it is about tools that must not be called', () => {
    const none = { tools: values.tools, toolChoice: 'none', parallelToolCalls: false } as const
    expect(create('Hi', none, { options: ['maxTokens'] }).options).toEqual({ stop: [] })
    expect(create('Hi', none).options).toMatchObject({ toolChoice: 'none', tools: [{ name: 'clock' }] })
    // Without its `toolChoice`, the model could call them.
    expect(create('Hi', none, { options: ['tools', 'parallelToolCalls'] }).options).toEqual({ stop: [] })
  })
})

describe('an option that demands nothing', () => {
  it('is not sent: how to choose among no tools', () => {
    expect(create('Hi', { tools: [], toolChoice: 'auto', parallelToolCalls: false }).options).toEqual({
      stop: [],
    })
  })
})

describe('a raw text', () => {
  it.each(['tools', 'reasoning'] as const)('has no "%s", which needs a chat template', (name) => {
    const options = { applyChatTemplate: false, [name]: values[name] }
    expect(() => create('Hi', options)).toThrow(refusal(name))
  })

  it('can have a form', () => {
    const { input, options } = create('Hi', { applyChatTemplate: false, responseFormat: 'json' })
    expect([input.kind, options.responseFormat]).toEqual(['text', { kind: 'json' }])
  })
})

it('raw text is refused by a model that takes only conversations', () => {
  const chatOnly = { inputs: ['chat'] } as const
  expect(() => create('Hi', { applyChatTemplate: false }, chatOnly)).toThrow(refusal('applyChatTemplate'))
  expect(create('Hi', {}, chatOnly).input).toMatchObject({ kind: 'chat' })
})

describe('a string', () => {
  it('is a user message for a model with a chat template', () => {
    expect(create('Hi', {}).input).toEqual({ kind: 'chat', messages: [user], assistantPrefix: '' })
    expect(create('Hi', { applyChatTemplate: true }).input).toMatchObject({ kind: 'chat' })
  })

  it('is raw text for a model without one, and with "applyChatTemplate: false"', () => {
    expect(create('Hi', {}, { inputs: ['text'] }).input).toEqual({ kind: 'text', text: 'Hi' })
    expect(create('Hi', { applyChatTemplate: false }).input).toEqual({ kind: 'text', text: 'Hi' })
  })

  it('is refused with "applyChatTemplate: true" by a model without one', () => {
    expect(() => create('Hi', { applyChatTemplate: true }, { inputs: ['text'] })).toThrow(refusal('prompt'))
  })
})

describe('variables of the chat template', () => {
  const templateVariables = { enable_thinking: false }

  it('are refused for raw text, which goes through no template', () => {
    expect(() => create('Hi', { applyChatTemplate: false, templateVariables })).toThrow(
      refusal('templateVariables'),
    )
    expect(() => create('Hi', { templateVariables }, { inputs: ['text'] })).toThrow(
      refusal('templateVariables'),
    )
    expect(create('Hi', { applyChatTemplate: false, templateVariables: {} }).input).toMatchObject({
      kind: 'text',
    })
  })
})

describe('messages', () => {
  it('are refused by a model without a chat template, with a message that says what to do', () => {
    expect(() => create([user], {}, { inputs: ['text'] })).toThrow(refusal('prompt'))
    expect(() => create([user], {}, { inputs: ['text'] })).toThrow(
      /"chatTemplate".*pass the prompt as a string/,
    )
  })

  it('are refused with a role that the model does not support', () => {
    const system = { role: 'system', content: 'Be kind.' } as const
    expect(() => create([system, user], {}, { roles: ['user', 'assistant'] })).toThrow(refusal('prompt'))
    expect(create([system, user], {}).input).toMatchObject({ messages: [system, user] })
  })

  it('are continued only by a model that can continue', () => {
    const messages = [user, { role: 'assistant', content: 'Once' } as const]
    const options = { continueFinalMessage: true }
    expect(create(messages, options).input).toEqual({
      kind: 'chat',
      messages: [user],
      assistantPrefix: 'Once',
    })
    expect(() => create(messages, options, { continuation: false })).toThrow(refusal('continueFinalMessage'))
    const empty = [user, { role: 'assistant', content: '' } as const]
    expect(() => create(empty, options, { continuation: false })).toThrow(refusal('continueFinalMessage'))
  })
})
