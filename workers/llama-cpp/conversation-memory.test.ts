import { expect, it } from 'vitest'
import { createConversationMemory } from './conversation-memory.js'

const tenBytes = { bytesPerToken: 10, windowBytesPerToken: 0, windowTokens: 0 }

it('a conversation is counted when another one replaces it', () => {
  const memory = createConversationMemory(tenBytes, 100)
  memory.begin(8, 0)
  for (let token = 0; token < 4; token += 1) memory.addToken()
  expect(memory.isFull).toBe(false)
  // The same conversation, with one more question.
  memory.begin(20, 12)
  expect(memory.isFull).toBe(false)
  // Another conversation: llama.cpp saves the first, 20 tokens of 10 bytes.
  memory.begin(5, 1)
  expect(memory.isFull).toBe(true)
})

it('with a limit of 0, the memory is full after the first saved conversation', () => {
  const memory = createConversationMemory(tenBytes, 0)
  memory.begin(5, 0)
  expect(memory.isFull).toBe(false)
  memory.begin(5, 0)
  expect(memory.isFull).toBe(true)
})
