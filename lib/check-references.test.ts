import { describe, expect, it } from 'vitest'
import { checkReferences } from './check-references.js'

const loop = expect.objectContaining({ code: 'invalid-option', details: { option: 'responseFormat' } })
const check = (schema: object) => checkReferences(schema as Record<string, unknown>, 'responseFormat')

describe('a schema that refers to itself', () => {
  it.each([
    { $ref: '#' },
    { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } },
    { anyOf: [{ type: 'string' }, { $ref: '#' }] },
    { properties: { x: { allOf: [{ $ref: '#/properties/x' }] } } },
    { 'a/b~c': { $ref: '#/a~1b~0c' } },
    { 'a b': { oneOf: [{ $ref: '#/a%20b' }] } },
    { if: {}, else: { $ref: '#' } },
  ])('without a property or an item in between is refused: %j', (schema) => {
    expect(() => check(schema)).toThrow(loop)
  })

  it.each([
    { type: 'object', properties: { child: { $ref: '#' } } },
    { $defs: { tree: { items: { $ref: '#/$defs/tree' } } }, $ref: '#/$defs/tree' },
    { allOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }], $defs: { a: { type: 'object' } } },
    { const: { $ref: '#/const' }, enum: [{ $ref: '#' }] },
    { $ref: 'https://example.com/other.json' },
    { $ref: '#/$defs/missing' },
    { $ref: '#/%' },
    { properties: { $ref: { type: 'string' } } },
  ])('with one is accepted, as are references to nothing in it: %j', (schema) => {
    expect(() => check(schema)).not.toThrow()
  })

  it('in a chain of any length does not overflow the stack', () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 100_000 }, (_, index) => [`d${index}`, { $ref: `#/$defs/d${index + 1}` }]),
    )
    expect(() => check({ $defs })).toThrow(loop)
  })
})
