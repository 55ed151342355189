import { Ajv, type AnySchema } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { beforeAll, describe, expect, test } from 'vitest'
import { drawUniform } from '../../onnx/draw-uniform.test-support.js'
import type { FormMatcher, GrammarEngine } from './grammar-engine.js'
import { loadXgrammar } from './load-xgrammar.test-support.js'
import { describeSchema } from './describe-schema.js'
import { createXgrammarEngine } from './xgrammar-engine.js'

/** Each byte is a token, and the last one ends the answer. */
const endId = 256
let engine: GrammarEngine

beforeAll(async () => {
  const tokens = [...Array.from({ length: 256 }, (_, byte) => [byte]), undefined]
  engine = await createXgrammarEngine(await loadXgrammar(), {
    tokens,
    endIds: new Set([endId]),
    hasMarks: false,
  })
})

async function match(schema: AnySchema): Promise<FormMatcher> {
  const form = { type: 'json_schema', json_schema: schema as Record<string, unknown> } as const
  const compiled = await engine.compile(form, 'responseFormat')
  return compiled.createMatcher()
}

/** Writes a text at random, which ends more often than it continues. @returns undefined if it gets too long */
async function write(matcher: FormMatcher, seed: number): Promise<string | undefined> {
  const bytes: number[] = []
  for (let step = 0; step < 600; step += 1) {
    const mask = await matcher.computeMask()
    const allowed = Array.from({ length: 257 }, (_, id) => id).filter(
      (id) => (mask[id >> 5]! >> (id & 31)) & 1,
    )
    const closing = allowed.filter((id) => id === endId || '"]}'.includes(String.fromCharCode(id)))
    const from = closing.length > 0 && drawUniform(seed, step, 1) < 0.35 ? closing : allowed
    const id = from[Math.floor(drawUniform(seed, step, 2) * from.length)]!
    expect(matcher.accept(id)).toBe(true)
    if (id === endId) return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes))
    bytes.push(id)
  }
  return undefined
}

const recursive = {
  $defs: {
    tree: { type: 'object', properties: { children: { type: 'array', items: { $ref: '#/$defs/tree' } } } },
  },
  $ref: '#/$defs/tree',
}

describe('every text of the grammar is valid by the schema', () => {
  test.each<[string, AnySchema]>([
    ['anything', {}],
    ['true', true],
    ['types', { type: ['string', 'null', 'boolean'] }],
    ['integers', { type: 'integer' }],
    ['numbers', { type: 'number' }],
    ['integers in a range', { type: 'integer', minimum: -12, maximum: 1203 }],
    ['integers above a limit', { type: 'integer', exclusiveMinimum: 97 }],
    ['negative integers', { type: 'integer', maximum: -5 }],
    ['numbers in a range', { type: 'number', minimum: -90, maximum: 90 }],
    ['numbers in a range of fractions', { type: 'number', minimum: 0.25, exclusiveMaximum: 0.75 }],
    ['numbers around zero', { type: 'number', exclusiveMinimum: -0.5, exclusiveMaximum: 0 }],
    ['numbers from a fraction', { type: 'number', minimum: 1 / 3 }],
    ['large numbers', { type: 'number', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }],
    ['multiples of ten', { type: 'integer', multipleOf: 10 }],
    ['multiples in a range', { type: 'number', multipleOf: 7, minimum: 3, maximum: 50 }],
    ['32-bit integers', { type: 'integer', format: 'int32' }],
    ['strings', { type: 'string' }],
    ['strings of a length', { type: 'string', minLength: 3, maxLength: 5 }],
    ['a pattern', { type: 'string', pattern: '^[a-c]+(x|"\\\\y)\\d{2}$' }],
    ['a pattern anywhere', { type: 'string', pattern: '[0-9]+' }],
    ['a pattern with anchors in a group', { type: 'string', pattern: '(^a|b$)' }],
    [
      'a pattern and a length',
      { type: 'string', pattern: '^[a-z]+(-[a-z]+)*$', minLength: 6, maxLength: 12 },
    ],
    ['a pattern of sets', { type: 'string', pattern: '^\\D\\S.[^\\W_][α-ωж]$' }],
    ...[
      'date-time',
      'date',
      'time',
      'duration',
      'email',
      'hostname',
      'ipv4',
      'ipv6',
      'uri',
      'uri-reference',
      'uuid',
      'json-pointer',
      'byte',
    ].map((format): [string, AnySchema] => [`the format ${format}`, { type: 'string', format }]),
    ['an unknown format', { type: 'string', format: 'color' }],
    ['values', { enum: [1, 'a"b', null, { a: [1, 2] }, '\n'] }],
    ['values of a type', { type: 'string', enum: ['a', 1, 'bbb'], maxLength: 2 }],
    ['a constant', { const: { name: 'x', list: [] } }],
    ['arrays', { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 4 }],
    [
      'tuples',
      { type: 'array', items: [{ const: 1 }, { const: 2 }], additionalItems: { const: 3 }, minItems: 1 },
    ],
    ['closed tuples', { type: 'array', items: [{ const: 1 }, { const: 2 }], additionalItems: false }],
    ['unique values', { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true }],
    [
      'properties',
      { type: 'object', properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } }, required: ['b'] },
    ],
    ['optional properties', { properties: { a: { type: 'null' }, b: { type: 'null' } }, minProperties: 1 }],
    ['an undeclared property', { type: 'object', properties: { a: { const: 1 } }, required: ['z'] }],
    [
      'other properties',
      {
        type: 'object',
        properties: { ab: { const: 1 }, abcdefg: { const: 2 } },
        additionalProperties: { const: 3 },
      },
    ],
    [
      'other properties only',
      { type: 'object', additionalProperties: { type: 'integer' }, maxProperties: 2, minProperties: 1 },
    ],
    [
      'properties by pattern',
      {
        type: 'object',
        patternProperties: { '^x': { const: 1 }, y$: { type: 'integer' } },
        additionalProperties: false,
      },
    ],
    [
      'a named property of a pattern',
      {
        type: 'object',
        properties: { x1: { maximum: 5 } },
        patternProperties: { '^x': { type: 'integer' } },
      },
    ],
    [
      'property names',
      { type: 'object', propertyNames: { pattern: '^[a-z]{2}$' }, additionalProperties: { const: 0 } },
    ],
    ['recursion', recursive],
    [
      'anyOf',
      {
        type: 'object',
        properties: { a: { const: 1 }, b: { const: 2 } },
        anyOf: [{ required: ['a'] }, { required: ['b'] }],
      },
    ],
    [
      'allOf',
      {
        allOf: [
          { type: 'object', properties: { a: { minimum: 3 } }, required: ['a'] },
          { properties: { a: { type: 'integer', maximum: 9 } } },
        ],
      },
    ],
    [
      'oneOf by type',
      { oneOf: [{ type: 'string' }, { type: 'integer' }, { type: 'array', items: { const: 1 } }] },
    ],
    [
      'oneOf by a property',
      {
        oneOf: ['x', 'y'].map((kind) => ({
          type: 'object',
          properties: { kind: { const: kind }, v: { type: 'null' } },
          required: ['kind'],
        })),
      },
    ],
    [
      'oneOf by required properties',
      {
        type: 'object',
        properties: { a: { const: 1 }, b: { const: 2 } },
        oneOf: [{ required: ['a'] }, { required: ['b'] }],
      },
    ],
    ['not a type', { not: { type: ['object', 'array'] } }],
    ['not some values', { enum: [1, 2, 3], not: { enum: [2] } }],
    [
      'not a property',
      { type: 'object', properties: { a: { const: 1 }, b: { const: 2 } }, not: { required: ['a'] } },
    ],
    ['a property that cannot be', { type: 'object', properties: { a: { not: {} }, b: { const: 2 } } }],
  ])('%s', { timeout: 60_000 }, async (_, schema) => {
    const Validator = JSON.stringify(schema).includes('$defs') ? Ajv2020 : Ajv
    const ajv = new Validator({ strict: false, logger: false })
    addFormats.default(ajv)
    const validate = ajv.compile(schema)
    let written = 0
    for (let seed = 1; seed <= 40; seed += 1) {
      const matcher = await match(schema)
      const text = await write(matcher, seed)
      matcher.release()
      if (text === undefined) continue
      written += 1
      expect(validate(JSON.parse(text)), `${text} ${JSON.stringify(validate.errors)}`).toBe(true)
    }
    expect(written).toBeGreaterThan(4)
  })
})

describe('the grammar contains what a model would write', () => {
  test.each<[AnySchema, string]>([
    [
      { type: 'object', properties: { a: { type: 'string' }, b: { type: 'number' } } },
      '{"a": "é\\n\\u00e9\\"", "b": -1.5e-7}',
    ],
    [{ type: 'object', properties: { a: {}, b: {} } }, '{"b": [1, {"x": null}]}'],
    [{ type: 'array', items: { type: 'integer', minimum: 5, maximum: 120 } }, '[5, 9, 10, 99, 100, 120]'],
    [{ type: 'number', minimum: 0, maximum: 1 }, '0.25'],
    [{ type: 'object' }, '{"any": {"thing": [true, "x"]}}'],
    [{ type: 'string', format: 'date-time' }, '"2024-02-29T12:30:00Z"'],
    [{ type: 'string', pattern: '^https?://' }, '"https://example.org/a?b"'],
    [
      { type: 'object', properties: { name: {} }, additionalProperties: { type: 'integer' } },
      '{"name": 1, "nam": 2, "names": 3}',
    ],
  ])('%j: %s', async (schema, text) => {
    const matcher = await match(schema)
    expect(matcher.acceptText(text)).toBe(true)
    expect(matcher.accept(endId)).toBe(true)
    expect(matcher.isTerminated).toBe(true)
    matcher.release()
  })
})

describe('a schema is refused by the name of what cannot be held', () => {
  const loop = {
    $ref: '#/definitions/a',
    definitions: { a: { $ref: '#/definitions/b' }, b: { $ref: '#/definitions/a' } },
  }
  test.each<[AnySchema, string]>([
    ...[
      'contains',
      'if',
      'dependencies',
      'dependentRequired',
      'dependentSchemas',
      '$dynamicRef',
      'unevaluatedItems',
    ].map((keyword): [AnySchema, string] => [
      { properties: { a: { [keyword]: {} } } },
      `"${keyword}" at #/properties/a`,
    ]),
    [{ type: 'array', items: { type: 'string' }, uniqueItems: true }, '"uniqueItems"'],
    [{ type: 'number', multipleOf: 0.01 }, '"multipleOf"'],
    [{ oneOf: [{ type: 'number' }, { type: 'integer' }] }, '"oneOf"'],
    [{ not: { minimum: 3 } }, '"not"'],
    [{ type: 'string', pattern: '(?=a)b' }, 'look-around'],
    [{ type: 'string', pattern: '(a)\\1' }, 'a back reference'],
    [{ type: 'string', pattern: '\\p{Lu}' }, 'a Unicode property'],
    [{ type: 'string', pattern: '\\bword' }, '"\\b"'],
    [{ type: 'string', pattern: '(' }, 'not a valid regular expression'],
    [{ type: 'string', pattern: '^a$', minLength: 3 }, '"pattern"'],
    [{ type: 'string', format: 'regex' }, 'the format "regex"'],
    [{ $ref: 'https://example.org/schema' }, 'Only references within the schema'],
    [{ $ref: '#/definitions/missing' }, 'does not exist'],
    [loop, 'a loop of references'],
    [{ type: 'text' }, 'the unknown type "text"'],
    [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'No value is valid'],
    [{ type: 'integer', minimum: 5, maximum: 4 }, 'No value is valid'],
    [{ type: 'object', minProperties: 3, additionalProperties: true }, '"minProperties"'],
    [false, 'No value is valid'],
  ])('%j: %s', (schema, reason) => {
    expect(() => describeSchema(schema as Record<string, unknown>)).toThrow(reason)
  })
})
