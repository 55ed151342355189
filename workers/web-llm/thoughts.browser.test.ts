import { describe, expect, it } from 'vitest'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { findCounted, openLoaded, story, storyRequest } from './open-scripted.test-support.js'

const vocabulary = ['<think>', '</think>']
const thinking = ['<think>', '\n', 'A dra', 'gon.', '\n', '</think>', '\n\n', 'Once', ' upon']
/** As in the template of a model whose prompt ends inside a thought. */
const openTemplate = {
  system_template: '{system_message}',
  roles: { user: '<|user|>', assistant: '<|assistant|>' },
  role_empty_sep: '<think>\n',
  seps: ['<|end|>'],
  stop_str: ['<|end|>'],
}

const joinReasoning = (steps: readonly GenerationStep[]) =>
  steps.map((step) => (step.kind === 'chunk' ? (step.reasoning ?? '') : '')).join('')
const joinRaw = (steps: readonly GenerationStep[]) =>
  steps.map((step) => (step.kind === 'chunk' ? (step.raw ?? step.text) : '')).join('')

describe('a thought (real engine, scripted pipeline)', () => {
  it('is a channel of its own, wherever the tokens split its marks', async () => {
    const whole = thinking.join('')
    const answers = [thinking, [...whole], [whole]]
    const { generate: ask } = await openLoaded({ answers: [...answers], vocabulary })
    for (const _ of answers) {
      const { text, steps, finishReason } = await ask()
      expect({ text, finishReason }).toEqual({ text: 'Once upon', finishReason: 'stop' })
      expect(joinReasoning(steps)).toBe('A dragon.')
      expect(joinRaw(steps)).toBe(whole)
    }
  })

  it('is counted by its tokens, and only its chunks have the field', async () => {
    const { generate: ask } = await openLoaded({ answers: [thinking], vocabulary })
    const { steps } = await ask()
    const chunks = steps.filter((step) => step.kind === 'chunk')
    const tokens = (isReasoning: boolean) =>
      chunks
        .filter(({ reasoning }) => (reasoning !== undefined) === isReasoning)
        .reduce((sum, { tokenCount }) => sum + tokenCount, 0)
    expect({ reasoning: tokens(true), other: tokens(false) }).toEqual({ reasoning: 5, other: 4 })
    expect(findCounted(steps)).toMatchObject({ completionTokens: thinking.length })
  })

  it('that is cut off is reasoning without a text', async () => {
    const { generate: ask } = await openLoaded({ answers: [thinking], vocabulary })
    const { text, steps, finishReason } = await ask(storyRequest({ maxTokens: 4 }))
    expect({ text, finishReason }).toEqual({ text: '', finishReason: 'length' })
    expect(joinReasoning(steps)).toBe('A dragon.')
  })

  it('that the template opens is reasoning from the first token', async () => {
    const { generate: ask, info } = await openLoaded({
      answers: [['A dragon.', '</think>', '\n\n', 'Once']],
      config: { conv_template: openTemplate },
      vocabulary,
    })
    const { text, steps } = await ask()
    expect({ text, reasoning: joinReasoning(steps) }).toEqual({ text: 'Once', reasoning: 'A dragon.' })
    // web-llm would write its empty thought inside the open one.
    expect(info.supports.reasoning).toEqual([])
    expect(info.supports.options).not.toContain('reasoning')
    expect(info.supports.hints?.reasoning).toContain('Leave "reasoning" out')
  })

  it('has no marks in a model without such tokens, nor in raw text', async () => {
    const plain = await openLoaded({ answers: [thinking] })
    expect(await plain.generate()).toMatchObject({ text: thinking.join('') })
    expect(plain.info.supports.reasoning).toEqual(['off'])
    const { generate: ask } = await openLoaded({ answers: [thinking], vocabulary })
    expect(await ask(textRequest('Once'))).toMatchObject({ text: thinking.join('') })
  })

  it('is turned off by an empty thought, which takes no tokens of the answer', async () => {
    const { generate: ask, info, seen } = await openLoaded({ answers: [story, story], vocabulary })
    expect(info.supports.reasoning).toEqual(['off'])
    const { text, steps, finishReason } = await ask(storyRequest({ reasoning: 'off', maxTokens: 3 }))
    expect({ text, finishReason }).toEqual({ text: 'Once upon a', finishReason: 'length' })
    expect(joinReasoning(steps)).toBe('')
    expect(seen.prefilled[0]).toMatch(/<think>\n\n<\/think>\n\n$/)
    expect(await ask()).toMatchObject({ text: story.join('') })
    expect(seen.requests.map((request) => 'extra_body' in request)).toEqual([true, false])
  })

  it('is not matched by stop strings, and the next request runs after one', async () => {
    const { generate: ask, seen } = await openLoaded({
      answers: [thinking, thinking, ['Yes']],
      vocabulary,
    })
    expect(await ask(storyRequest({ stop: ['dragon'] }))).toMatchObject({ text: 'Once upon' })
    const stopped = await ask(storyRequest({ stop: ['ce'] }))
    expect(stopped).toMatchObject({ text: 'On', finishReason: 'stop' })
    expect(findCounted(stopped.steps)).toMatchObject({ completionTokens: 8 })
    expect(seen.interrupts).toBe(1)
    expect(await ask()).toMatchObject({ text: 'Yes', finishReason: 'stop' })
  })

  it('of an earlier answer is left out of the next prompt', async () => {
    const { generate: ask, seen } = await openLoaded({ answers: [thinking, ['Yes']], vocabulary })
    const first = { role: 'user', content: 'Tell me a story.' } as const
    await ask(chatRequest([first]))
    const answer = { role: 'assistant', content: 'Once upon', reasoning_content: 'A dragon.' } as const
    const { steps } = await ask(chatRequest([first, answer, first]))
    expect(seen.prefilled[1]).toContain('Once upon')
    expect(seen.prefilled[1]).not.toContain('dragon')
    expect(findCounted(steps)).toMatchObject({
      promptTokens: seen.promptTokens[1],
      cachedPromptTokens: 0,
    })
  })
})
