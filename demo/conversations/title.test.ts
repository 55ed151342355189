import { expect, it } from 'vitest'
import { composeTitle } from './title.js'

it('is the question on one line', () => {
  expect(composeTitle('  Tell me\n\n a   story. ')).toBe('Tell me a story.')
})

it('is cut behind a word where the question is long', () => {
  const title = composeTitle(
    'Tell me a very long story about a dragon who finds a key under the old stone bridge',
  )
  expect(title).toBe('Tell me a very long story about a dragon who finds a key…')
})

it('is cut between characters where there are no words, and never within one', () => {
  expect(composeTitle('🐉'.repeat(80))).toBe(`${'🐉'.repeat(60)}…`)
})
