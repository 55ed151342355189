import { expect, it } from 'vitest'
import { composeTitle } from './title.js'

it('puts the question on one line', () => {
  expect(composeTitle('  Tell me\n\n a   story. ')).toBe('Tell me a story.')
})

it('cuts a long question after a word', () => {
  const title = composeTitle(
    'Tell me a very long story about a dragon who finds a key under the old stone bridge',
  )
  expect(title).toBe('Tell me a very long story about a dragon who finds a key…')
})

it('cuts text without spaces between characters, never inside one', () => {
  expect(composeTitle('🐉'.repeat(80))).toBe(`${'🐉'.repeat(60)}…`)
})
