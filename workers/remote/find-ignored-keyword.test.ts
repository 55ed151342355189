import { expect, it } from 'vitest'
import { findIgnoredKeyword } from './find-ignored-keyword.js'

const inProperty = (a: object) => ({ type: 'object', properties: { a }, required: ['a'] })
const text = { type: 'string' }

// Tried on llama.cpp's server b11549: with each of the ignored ones, answers were not valid by the schema.
it.each<[string, object]>([
  ['multipleOf', { type: 'integer', multipleOf: 7 }],
  ['minimum', { type: 'number', minimum: 100 }],
  ['minimum', { minimum: 5 }],
  ['exclusiveMaximum', { type: 'number', exclusiveMaximum: -5 }],
  ['uniqueItems', { type: 'array', items: text, uniqueItems: true }],
  ['contains', { type: 'array', items: text, contains: { const: 'b' } }],
  ['minProperties', { type: 'object', minProperties: 2 }],
  ['patternProperties', { type: 'object', patternProperties: { '^a': text } }],
  ['prefixItems', { type: 'array', prefixItems: [text] }],
  ['not', { type: 'string', not: { const: 'a' } }],
  ['if', { if: text, else: text }],
  ['oneOf', { oneOf: [text, { type: 'null' }] }],
  ['maxLength', { $ref: '#/$defs/s', maxLength: 2 }],
  ['required', { anyOf: [text], required: ['a'] }],
  ['allOf', { allOf: [{ type: 'string', maxLength: 3 }, { minLength: 3 }] }],
  ['required', { type: 'object', required: ['z'] }],
  ['pattern', { type: 'string', pattern: 'b' }],
  ['minLength', { type: 'string', pattern: '^a*$', minLength: 3 }],
  ['format', { type: 'string', format: 'email' }],
  ['type', { type: 'integer', enum: ['x', 3] }],
])('%s is ignored: %j', (keyword, schema) => {
  expect(findIgnoredKeyword(inProperty(schema))).toBe(`"${keyword}" at #/properties/a`)
})

it.each<object>([
  { type: 'integer', minimum: 100, exclusiveMaximum: 200 },
  { type: 'array', items: { type: 'integer' }, minItems: 2, maxItems: 3, uniqueItems: false },
  { anyOf: [text, { type: 'null' }], description: 'Either.' },
  { allOf: [inProperty(text), { properties: { b: text }, required: ['b'] }] },
  { type: 'string', pattern: '^[a-c]{2}$' },
  { type: 'string', format: 'date' },
  { type: 'string', format: 'my-own' },
  { type: ['string', 'null'], maxLength: 2 },
  { enum: ['x', 3] },
  { const: 'x', type: 'string' },
  { $ref: '#/$defs/s', title: 'S' },
  { type: 'object', additionalProperties: { type: 'integer' } },
])('is held: %j', (schema) => {
  expect(findIgnoredKeyword(inProperty(schema))).toBeUndefined()
})

it('names the first place, also in definitions and lists of alternatives', () => {
  const schema = { $defs: { s: { anyOf: [text, { multipleOf: 2 }] } }, $ref: '#/$defs/s' }
  expect(findIgnoredKeyword(schema)).toBe('"multipleOf" at #/$defs/s/anyOf/1')
})
