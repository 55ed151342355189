import { describe, expect, it } from 'vitest'
import { describeOption, optionNames, optionTable, type OptionName } from '../lib/contract/option-table.js'
import type { RequestOptions } from '../lib/contract/request.js'
import { joinAnswer, toOpenAiBody } from './openai-body.js'
import { chatRequest, textRequest } from './request.test-support.js'

const options: Required<RequestOptions> = {
  maxTokens: 5,
  temperature: 0,
  topK: 40,
  topP: 0.9,
  minP: 0.1,
  repetitionPenalty: 1.1,
  frequencyPenalty: 0.2,
  presencePenalty: 0.3,
  logitBias: { 5: -1 },
  seed: 0,
  topLogprobs: 0,
  stop: ['END'],
  templateVariables: { enable_thinking: false },
  responseFormat: { kind: 'json-schema', schema: { type: 'string' } },
  tools: [{ name: 'clock', parameters: { type: 'object' } }],
  toolChoice: 'required',
  parallelToolCalls: false,
  reasoning: 'off',
}

const resume = {
  handedOver: { text: ' upon', tokens: 1 },
  generated: { text: ' a time', tokens: 2, tokenIds: [7, 8] },
}

/** What the fields of the options contain. */
const fields: Readonly<Record<OptionName, unknown>> = {
  ...options,
  responseFormat: {
    type: 'json_schema',
    json_schema: { name: 'answer', schema: { type: 'string' }, strict: true },
  },
  tools: [{ type: 'function', function: { name: 'clock', parameters: { type: 'object' } } }],
  reasoning: 'none',
}

describe('an OpenAI request body', () => {
  it('has every option under the names of OpenAI and vLLM', () => {
    expect(toOpenAiBody(chatRequest('Hello', options))).toEqual({
      max_tokens: 5,
      temperature: 0,
      top_k: 40,
      top_p: 0.9,
      min_p: 0.1,
      repetition_penalty: 1.1,
      frequency_penalty: 0.2,
      presence_penalty: 0.3,
      logit_bias: { 5: -1 },
      seed: 0,
      top_logprobs: 0,
      stop: ['END'],
      chat_template_kwargs: { enable_thinking: false },
      response_format: fields.responseFormat,
      tools: fields.tools,
      tool_choice: 'required',
      parallel_tool_calls: false,
      reasoning_effort: 'none',
    })
  })

  it.each(optionNames)('has only the field of the option that the request has: %s', (name) => {
    const [field] = describeOption(name).openAi
    expect(toOpenAiBody(chatRequest('Hello', { [name]: options[name] }))).toEqual({ [field]: fields[name] })
  })

  it('is empty for a request without options', () => {
    expect(toOpenAiBody(chatRequest('Hello'))).toEqual({})
    expect(toOpenAiBody(textRequest('Hello', { stop: [] }))).toEqual({})
  })

  it.each(optionNames)('takes another name for a field: %s', (name) => {
    const body = toOpenAiBody(chatRequest('Hello', options), { [name]: 'renamed' })
    expect(body).toHaveProperty('renamed', fields[name])
    expect(body).not.toHaveProperty(optionTable[name].openAi[0])
    expect(Object.keys(body)).toHaveLength(optionNames.length)
  })

  it('limits what is left of an answer that is resumed, under any name', () => {
    const request = { ...chatRequest('Hello', { maxTokens: 10 }, 'Once'), resume }
    expect(toOpenAiBody(request)).toEqual({ max_tokens: 7 })
    expect(toOpenAiBody(request, { maxTokens: 'n_predict' })).toEqual({ n_predict: 7 })
    expect(toOpenAiBody({ ...chatRequest('Hello'), resume })).toEqual({})
  })
})

describe('the answer so far', () => {
  it('is empty for a new answer', () => {
    expect(joinAnswer(chatRequest('Hello'))).toBe('')
    expect(joinAnswer(textRequest('Hello'))).toBe('')
  })

  it("starts with the conversation's last message, then has what each model generated", () => {
    expect(joinAnswer(chatRequest('Hello', {}, 'Once'))).toBe('Once')
    expect(joinAnswer({ ...chatRequest('Hello'), resume })).toBe(' upon a time')
    expect(joinAnswer({ ...chatRequest('Hello', {}, 'Once'), resume })).toBe('Once upon a time')
    expect(joinAnswer({ ...textRequest('Hello'), resume })).toBe(' upon a time')
  })
})
