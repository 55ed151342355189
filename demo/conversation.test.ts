import { expect, it } from 'vitest'
import { countForgotten, measure, startChat, toMessages, type Chat } from './conversation.js'

const exchange = { question: 'q'.repeat(40), answer: 'a'.repeat(760) }

/** A chat of as many exchanges, 200 tokens each. */
function chatOf(exchanges: number, forgotten = 0): Chat {
  return {
    exchanges: Array.from({ length: exchanges }, () => exchange),
    forgotten,
    measured: { characters: 800, tokens: 200 },
  }
}

it('sends the remembered exchanges and then the question', () => {
  const exchanges = [exchange, { question: 'Hello', answer: 'Hi' }]
  expect(toMessages({ ...startChat(), exchanges, forgotten: 1 }, 'Who are you?')).toEqual([
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: 'Hi' },
    { role: 'user', content: 'Who are you?' },
  ])
})

it('measures the prompt and the answer together', () => {
  const messages = toMessages(startChat(), 'Hello')
  expect(measure(messages, 'Hi', { promptTokens: 4, cachedPromptTokens: 0, completionTokens: 1 })).toEqual({
    characters: 7,
    tokens: 5,
  })
})

it('forgets nothing while half of the context is left for the answer', () => {
  expect(countForgotten(chatOf(1), 'More?', 512)).toBe(0)
})

it('forgets the oldest exchanges first, and only as many as it must', () => {
  expect(countForgotten(chatOf(2), 'More?', 512)).toBe(1)
  expect(countForgotten(chatOf(3), 'More?', 512)).toBe(2)
})

it('counts only what is not forgotten yet', () => {
  expect(countForgotten(chatOf(3, 1), 'More?', 512)).toBe(1)
  expect(countForgotten(chatOf(3, 2), 'More?', 512)).toBe(0)
})

it('keeps a long history where the context is long', () => {
  expect(countForgotten(chatOf(3), 'More?', 8192)).toBe(0)
})

it('leaves a question that is too long by itself to the engine', () => {
  expect(countForgotten(chatOf(1), 'x'.repeat(10_000), 512)).toBe(1)
  expect(countForgotten(chatOf(0), 'x'.repeat(10_000), 512)).toBe(0)
})

it('forgets nothing before anything was measured', () => {
  expect(countForgotten({ ...chatOf(3), measured: undefined }, 'More?', 512)).toBe(0)
})
