import { expect, it } from 'vitest'
import { formatPresentName, formatPresentStateName, parsePastName } from './graph-names.js'

it.each([
  ['past_key_values.0.key', 'present.0.key'],
  ['past_key_values.27.value', 'present.27.value'],
  ['past_key_values.3.key_value', 'present.3.key_value'],
])('the cache input %s gets its next value from the output %s', (past, present) => {
  expect(formatPresentName(parsePastName(past)!)).toBe(present)
})

it.each([
  'input_ids',
  'past_key_values.key',
  'past_key_values.0.decoder.key',
  'past_key_values.0.keys',
  'past_key_values.0.latent',
  'present.0.key',
  'past_conv.0',
])('%s is not an input of the KV cache', (name) => {
  expect(parsePastName(name)).toBeUndefined()
})

it.each([
  ['past_conv.0', 'present_conv.0'],
  ['past_recurrent.11', 'present_recurrent.11'],
  ['past_ssm.3', 'present_ssm.3'],
  ['past.0.conv', 'present.0.conv'],
  ['past.23.recurrent', 'present.23.recurrent'],
])('the state %s gets its next value from the output %s', (past, present) => {
  expect(formatPresentStateName(past)).toBe(present)
})

it.each([
  'past_key_values.0.key',
  'past_conv',
  'past_conv.0.key',
  'past.0.key',
  'past.conv.0',
  'present_conv.0',
  'my_past_conv.0',
])('%s is not a state of fixed size', (name) => {
  expect(formatPresentStateName(name)).toBeUndefined()
})
