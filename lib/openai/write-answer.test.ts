import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { createAnswerWriter } from './write-answer.js'

const head = { id: 'chatcmpl-1', isChat: true, model: 'local', created: 1, includesUsage: true }
const usage = { promptTokens: 5, cachedPromptTokens: 2, completionTokens: 3 }
const wholeChoice = {
  result: { text: 'Once', reasoning: '', toolCalls: [], usage },
  end: 'stop',
  logprobs: [],
  promptLength: 0,
} as const
const chunk = { text: 'Once', tokenIds: [1], tokenCount: 1, index: 0 }

describe('an answer in OpenAI’s format', () => {
  it('has a role, deltas, a finish reason and the usage for a chat', () => {
    const writer = createAnswerWriter(head)
    const chunks = [
      writer.start(0),
      writer.write(chunk, 0, 0),
      writer.end('length', 0),
      writer.writeUsageChunk(usage),
    ] as OpenAI.ChatCompletionChunk[]
    expect(chunks.map(({ choices: [choice] }) => choice?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: 'Once' },
      {},
      undefined,
    ])
    expect(chunks.map((each) => each.usage)).toEqual([
      null,
      null,
      null,
      {
        prompt_tokens: 5,
        completion_tokens: 3,
        total_tokens: 8,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    ])
    expect(chunks[2]?.choices[0]?.finish_reason).toBe('length')
  })

  it('has neither role nor delta for a completion', () => {
    const writer = createAnswerWriter({ ...head, isChat: false, includesUsage: false })
    expect(writer.start(0)).toBeUndefined()
    expect(writer.write(chunk, 0, 0)).toEqual({
      id: 'chatcmpl-1',
      object: 'text_completion',
      created: 1,
      model: 'local',
      choices: [{ index: 0, text: 'Once', logprobs: null, finish_reason: null }],
    })
  })

  it('has log-probabilities with the bytes of their tokens', () => {
    const token = { tokenId: 1, text: 'é', logprob: -0.5 }
    const logprobs = [{ ...token, top: [token] }]
    const written = createAnswerWriter(head).write({ ...chunk, logprobs }, 0, 0) as OpenAI.ChatCompletionChunk
    const writtenToken = { token: 'é', logprob: -0.5, bytes: [195, 169] }
    expect(written.choices[0]?.logprobs).toEqual({
      content: [{ ...writtenToken, top_logprobs: [writtenToken] }],
      refusal: null,
    })
  })

  it.each([
    ['its bytes', [240, 159]],
    ['null, if the runtime does not report them', null],
  ])('has as the bytes of a token that is a part of a character: %s', (_, bytes) => {
    const token = { tokenId: 1, text: '\uFFFD', logprob: -0.5, ...(bytes && { bytes }) }
    const logprobs = [{ ...token, top: [] }]
    const written = createAnswerWriter(head).write({ ...chunk, logprobs }, 0, 0) as OpenAI.ChatCompletionChunk
    expect(written.choices[0]?.logprobs?.content?.[0]?.bytes).toEqual(bytes)
  })

  it('has the log-probabilities of a completion in lists, with offsets from the start of the prompt', () => {
    const [one, two] = [' up', 'on'].map((text, tokenId) => ({ text, tokenId, logprob: -0.5 }))
    const logprobs = [
      { ...one!, top: [one!, two!] },
      { ...two!, top: [] },
    ]
    const writer = createAnswerWriter({ ...head, isChat: false })
    const lists = {
      tokens: [' up', 'on'],
      token_logprobs: [-0.5, -0.5],
      top_logprobs: [{ ' up': -0.5, on: -0.5 }, {}],
      text_offset: [4, 7],
    }
    const whole = writer.writeWhole([{ ...wholeChoice, logprobs, promptLength: 4 }]) as OpenAI.Completion
    expect(whole.choices[0]?.logprobs).toEqual(lists)
    const written = writer.write({ ...chunk, logprobs }, 0, 4) as OpenAI.Completion
    expect(written.choices[0]?.logprobs).toEqual(lists)
  })

  it('has reasoning and tool calls in their own fields', () => {
    const writer = createAnswerWriter(head)
    const delta = (more: object) =>
      (writer.write({ ...chunk, text: '', ...more }, 0, 0) as OpenAI.ChatCompletionChunk).choices[0]?.delta
    expect(delta({ reasoning: 'Hm.' })).toEqual({ reasoning_content: 'Hm.' })
    expect(delta({ toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '' }] })).toEqual({
      tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'look', arguments: '' } }],
    })
    expect(delta({ toolCalls: [{ index: 0, argumentsDelta: '{}' }] })).toEqual({
      tool_calls: [{ index: 0, function: { arguments: '{}' } }],
    })
    const toolCalls = [{ id: 'a', name: 'look', arguments: '{}' }]
    const result = { text: '', reasoning: 'Hm.', toolCalls, usage }
    const whole = writer.writeWhole([{ ...wholeChoice, result, end: 'tool-calls' }]) as OpenAI.ChatCompletion
    expect(whole.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: null,
        reasoning_content: 'Hm.',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'look', arguments: '{}' } }],
      },
    })
  })

  it('can be one object', () => {
    const whole = createAnswerWriter(head).writeWhole([wholeChoice]) as OpenAI.ChatCompletion
    expect(whole.choices[0]).toEqual({
      index: 0,
      message: { role: 'assistant', content: 'Once', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    })
  })
})
