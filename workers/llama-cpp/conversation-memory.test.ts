import { expect, it } from 'vitest'
import { createConversationMemory } from './conversation-memory.js'

it('counts a conversation when another one puts it aside', () => {
  const memory = createConversationMemory(10, 100)
  memory.begin(8, 0)
  for (let token = 0; token < 4; token += 1) memory.addToken()
  expect(memory.isFull).toBe(false)
  // The same conversation, one question more.
  memory.begin(20, 12)
  expect(memory.isFull).toBe(false)
  // Another one: 20 tokens of 10 bytes are kept.
  memory.begin(5, 1)
  expect(memory.isFull).toBe(true)
})

it('is full at nothing where nothing may be kept, once there is something', () => {
  const memory = createConversationMemory(10, 0)
  memory.begin(5, 0)
  expect(memory.isFull).toBe(false)
  memory.begin(5, 0)
  expect(memory.isFull).toBe(true)
})
