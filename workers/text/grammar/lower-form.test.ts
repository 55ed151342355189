import { describe, expect, test } from 'vitest'
import { lowerForm } from './lower-form.js'
import type { TagFormat } from './tag-format.js'

test('schemas and patterns become grammars, also inside of tags', () => {
  const form: TagFormat = {
    type: 'sequence',
    elements: [
      { type: 'tag', begin: '<a>', content: { type: 'json_schema', json_schema: { const: 1 } }, end: '</a>' },
      { type: 'regex', pattern: 'a+' },
      { type: 'any_text' },
    ],
  }
  expect(lowerForm(form)).toEqual({
    type: 'sequence',
    elements: [
      {
        type: 'tag',
        begin: '<a>',
        content: { type: 'grammar', grammar: 'root ::= value0\nvalue0 ::= "1"\n' },
        end: '</a>',
      },
      { type: 'grammar', grammar: 'root ::= [a]+\n' },
      { type: 'any_text' },
    ],
  })
})

describe('a form that would take too long to prepare is refused', () => {
  test.each<[string, TagFormat]>([
    [
      'nested repeats of a grammar',
      { type: 'grammar', grammar: 'root ::= (("a" | "b"){1,1000} ","){1,1000}' },
    ],
    ['nested repeats of a pattern', { type: 'regex', pattern: '((ab|c){1000}){1000}' }],
    [
      'a large enum',
      { type: 'json_schema', json_schema: { enum: Array.from({ length: 9000 }, (_, id) => `value ${id}`) } },
    ],
  ])('%s', (_, form) => {
    expect(() => lowerForm(form)).toThrow('too large')
  })

  test('long strings are not', () => {
    expect(() =>
      lowerForm({ type: 'json_schema', json_schema: { type: 'string', maxLength: 65_535 } }),
    ).not.toThrow()
  })
})
