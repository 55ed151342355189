import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import type { GenerationResult } from '../generation.js'
import { createAnswerWriter } from './write-answer.js'

const head = { id: 'chatcmpl-1', isChat: true, model: 'local', created: 1, includesUsage: true }
const usage = { promptTokens: 5, cachedPromptTokens: 2, completionTokens: 3 }
const chunk = { text: 'Once', tokenIds: [1], tokenCount: 1, index: 0 }

describe('an answer in OpenAI’s format', () => {
  it('has a role, deltas, a finish reason and the usage for a chat', () => {
    const writer = createAnswerWriter(head)
    const chunks = [
      writer.start(),
      writer.write(chunk),
      writer.end('length'),
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
      },
    ])
    expect(chunks[2]?.choices[0]?.finish_reason).toBe('length')
  })

  it('has neither role nor delta for a completion', () => {
    const writer = createAnswerWriter({ ...head, isChat: false, includesUsage: false })
    expect(writer.start()).toBeUndefined()
    expect(writer.write(chunk)).toEqual({
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
    const written = createAnswerWriter(head).write({ ...chunk, logprobs }) as OpenAI.ChatCompletionChunk
    const writtenToken = { token: 'é', logprob: -0.5, bytes: [195, 169] }
    expect(written.choices[0]?.logprobs).toEqual({
      content: [{ ...writtenToken, top_logprobs: [writtenToken] }],
      refusal: null,
    })
  })

  it('can be one object', () => {
    const result = { text: 'Once', finishReason: 'stop', usage } as GenerationResult
    const whole = createAnswerWriter(head).writeWhole(result, 'stop', [chunk]) as OpenAI.ChatCompletion
    expect(whole.choices[0]).toEqual({
      index: 0,
      message: { role: 'assistant', content: 'Once', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    })
  })
})
