import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { toByteSets } from '../grammar/byte-sets.js'
import { loadXgrammar } from '../grammar/load-xgrammar.test-support.js'
import { lowerForm } from '../grammar/lower-form.js'
import type { TagFormat } from '../grammar/tag-format.js'
import { createFormCompiler } from './compile-form.js'
import { composeGrammar } from './compose-grammar.js'
import { continueGrammar, fitsGrammar } from './continue-grammar.js'
import { createRandom, fitsFromEverywhere, writeRandomText } from './walk-grammar.test-support.js'
import { writeGbnf } from './write-gbnf.js'

const parseGbnf = (grammar: string) => composeGrammar({ type: 'grammar', grammar })
const fits = (source: string, text: string) => fitsGrammar(parseGbnf(source), text)

describe('a grammar in GBNF', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['root ::= "yes" | "no"', ['yes', 'no'], ['', 'y', 'yesno', 'Yes']],
    ['root ::= a b?\na ::= [a-c]\nb ::= [^a-c\\n]', ['a', 'bx', 'c🐉'], ['', 'd', 'aa', 'a\n']],
    ['root ::= "ab"* "c"+', ['c', 'ababcc'], ['', 'ab', 'abac']],
    ['root ::= "a"{3} ("b" | "c"){1,2}', ['aaab', 'aaacb'], ['aab', 'aaa', 'aaabbb']],
    ['root ::= "a"{2,}', ['aa', 'aaaaa'], ['a', 'aab']],
    ['root ::= "a"{,2} "x"', ['x', 'aax'], ['aaax']],
    ['root ::= .', ['x', '🐉'], ['', 'xy']],
    ['root ::= (\n  "a" | # a comment\n  "b"\n)', ['a', 'b'], ['c']],
    ['# start\nroot ::= x\n\nx ::= "\\x41\\u00e9\\U0001F409\\n\\"\\\\\\["', ['Aé🐉\n"\\['], ['A']],
    ['root ::= list\nlist ::= "[" (list ("," list)*)? "]"', ['[]', '[[],[[]]]'], ['[', '[,]']],
    ['root ::= [a\\]\\-z-] ""', ['a', ']', '-'], ['b']],
  ])('%j', (source, right, wrong) => {
    expect(right.filter((text) => !fits(source, text))).toEqual([])
    expect(wrong.filter((text) => fits(source, text))).toEqual([])
    // The written grammar is the same.
    const written = writeGbnf(parseGbnf(source))
    expect(right.filter((text) => !fits(written, text))).toEqual([])
    expect(wrong.filter((text) => fits(written, text))).toEqual([])
  })

  it.each([63, 64, 65, 127, 128, 1000, 5000, 10_000])(
    'counts up to %i repetitions with few rules',
    (count) => {
      const grammar = parseGbnf(`root ::= "a"{${count - 1},${count}} "b"{0,${count}}`)
      expect(grammar.rules.length).toBeLessThan(400)
      const [a, b] = ['a'.repeat(count), 'b'.repeat(count)]
      const right = [a, a.slice(1), a + b, `${a}b`, a + b.slice(1)]
      expect(right.map((text) => fitsGrammar(grammar, text))).toEqual(right.map(() => true))
      const wrong = [a.slice(2), `${a}a`, `${a}${b}b`]
      expect(wrong.map((text) => fitsGrammar(grammar, text))).toEqual(wrong.map(() => false))
    },
  )
})

describe('a grammar from the middle of a text', () => {
  it('fits exactly what can follow', () => {
    const grammar = parseGbnf('root ::= "{" pair ("," pair)* "}"\npair ::= [a-z]+ ":" [0-9]')
    const rest = continueGrammar(grammar, '{ab:1,c')!
    expect(['d:2}', ':2}', ':2,x:3}'].map((text) => fitsGrammar(rest, text))).toEqual([true, true, true])
    expect(['}', ':}', ':22}', ''].map((text) => fitsGrammar(rest, text))).toEqual([
      false,
      false,
      false,
      false,
    ])
    expect(continueGrammar(grammar, '{ab,')).toBeUndefined()
  })

  it('of a complete text fits only its end', () => {
    const rest = continueGrammar(parseGbnf('root ::= "ab"'), 'ab')!
    expect(writeGbnf(rest)).toMatch(/^root ::= ""/)
  })
})

describe('a form', () => {
  const json: TagFormat = {
    type: 'json_schema',
    json_schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
  }
  const call = (name: string): TagFormat & { type: 'tag' } => ({
    type: 'tag',
    begin: `<call>${name}(`,
    content: json,
    end: ')</call>',
  })
  const compose = (form: TagFormat) => composeGrammar(form)

  it.each<[string, TagFormat, readonly string[], readonly string[]]>([
    ['any text', { type: 'any_text' }, ['', 'x <call>'], []],
    ['a constant', { type: 'const_string', value: 'né' }, ['né'], ['n']],
    ['a pattern', { type: 'regex', pattern: '[a-c]{2}\\d?' }, ['ab', 'cc5'], ['a', 'abcd']],
    [
      'one of several',
      { type: 'or', elements: [json, { type: 'const_string', value: 'no' }] },
      ['{"a": 1}', 'no'],
      [''],
    ],
    [
      'a tag around free text, which cannot contain its end',
      { type: 'tag', begin: '<t>', content: { type: 'any_text' }, end: '</t>' },
      ['<t></t>', '<t>a < b </ t></t>', '<t><<</t></t>'.slice(0, 9)],
      ['<t>', '<t>a</t>b', '<t>a</t></t>'],
    ],
    [
      'free text with tags',
      { type: 'triggered_tags', triggers: ['<call>'], tags: [call('f'), call('g')] },
      [
        '',
        'Hi <b> <cal',
        'Hi <call>f({"a": 1})</call> and <call>g({"a": -2})</call>',
        '<<call>f({"a": 1})</call>',
      ],
      ['<call>', '<call>h({"a": 1})</call>', 'Hi <call>f({"a": "x"})</call>', '<call>f({"a": 1})'],
    ],
    [
      'free text, then one tag',
      { type: 'triggered_tags', triggers: ['<call>'], tags: [call('f')], stop_after_first: true },
      ['Hi', 'Hi <call>f({"a": 1})</call>'],
      ['<call>f({"a": 1})</call> more'],
    ],
    [
      'tags first, then free text',
      { type: 'triggered_tags', triggers: ['<call>'], tags: [call('f')], at_least_one: true },
      ['<call>f({"a": 1})</call>', '<call>f({"a": 1})</call> more <call>f({"a": 2})</call>'],
      ['', 'Hi'],
    ],
    [
      'tags with a separator',
      { type: 'tags_with_separator', tags: [call('f'), call('g')], separator: '\n', at_least_one: true },
      ['<call>f({"a": 1})</call>', '<call>f({"a": 1})</call>\n<call>g({"a": 2})</call>'],
      ['', '<call>f({"a": 1})</call>\n', '<call>f({"a": 1})</call><call>g({"a": 2})</call>'],
    ],
    [
      'a thought before',
      {
        type: 'sequence',
        elements: [{ type: 'tag', begin: '', content: { type: 'any_text' }, end: '</think>' }, json],
      },
      ['</think>{"a": 1}', 'Hm {"a": 2} </think>{"a": 1}'],
      ['{"a": 1}', 'Hm</think>'],
    ],
  ])('%s', (_, form, right, wrong) => {
    const grammar = compose(form)
    expect(right.filter((text) => !fitsGrammar(grammar, text))).toEqual([])
    expect(wrong.filter((text) => fitsGrammar(grammar, text))).toEqual([])
    expect(right.filter((text) => !fitsFromEverywhere(grammar, text))).toEqual([])
  })

  it('is refused by the name of its option', () => {
    const compile = createFormCompiler()
    expect(() => compile({ type: 'grammar', grammar: 'root ::= b' }, 'responseFormat', '')).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringMatching(/^"responseFormat" cannot be held\. .*no rule "b"/),
        details: { option: 'responseFormat' },
      }),
    )
  })
})

const schemas = new URL('../../../../shared/data/json-schemas/schemas.json', import.meta.url)

describe.skipIf(!existsSync(schemas))('200 real schemas (skipped without ../shared/data)', () => {
  it('give grammars that continue from each place of random texts, which XGrammar accepts, too; at least 95 % are taken', async () => {
    const all = JSON.parse(readFileSync(schemas, 'utf8')) as { name: string; schema: object }[]
    const { Grammar: XGrammar, Testings } = await loadXgrammar()
    const refused: string[] = []
    let walked = 0
    for (const [seed, { name, schema }] of all.entries()) {
      const form: TagFormat = { type: 'json_schema', json_schema: { ...schema } }
      let grammar
      try {
        grammar = composeGrammar(form)
      } catch {
        refused.push(name)
        continue
      }
      const text = writeRandomText(grammar, createRandom(seed), 400)
      if (text === undefined) continue
      expect(() => JSON.parse(text) as unknown, text).not.toThrow()
      expect(fitsFromEverywhere(grammar, text), `${name}: ${text}`).toBe(true)
      const lowered = lowerForm(form, toByteSets)
      const other = await XGrammar.fromEBNF(lowered.type === 'grammar' ? lowered.grammar : '')
      expect(await Testings.isGrammarAcceptString(other, text), `${name}: ${text}`).toBe(true)
      other.dispose()
      walked += 1
    }
    expect(refused.length).toBeLessThanOrEqual(all.length * 0.05)
    expect(walked).toBeGreaterThan(all.length / 2)
  }, 120_000)
})
