import { expect, it } from 'vitest'
import { formatPresentName, parsePastName } from './graph-names.js'

it.each([
  ['past_key_values.0.key', 'present.0.key'],
  ['past_key_values.27.value', 'present.27.value'],
])('the cache input %s gets its next value from the output %s', (past, present) => {
  expect(formatPresentName(parsePastName(past)!)).toBe(present)
})

it.each([
  'input_ids',
  'past_key_values.key',
  'past_key_values.0.decoder.key',
  'past_key_values.0.keys',
  'present.0.key',
  'past_conv.0',
])('%s is not an input of the KV cache', (name) => {
  expect(parsePastName(name)).toBeUndefined()
})
