import { beforeAll, expect, test } from 'vitest'
import { toByteSets } from './byte-sets.js'
import type { GrammarEngine } from './grammar-engine.js'
import { set, type GrammarNode, type Ranges } from './grammar-node.js'
import { loadXgrammar } from './load-xgrammar.test-support.js'
import { createXgrammarEngine } from './xgrammar-engine.js'

/** Returns whether a node of sets without rules and repeats matches all bytes. */
function matches(node: GrammarNode, bytes: readonly number[]): boolean {
  if (node.kind === 'choice') return node.items.some((item) => matches(item, bytes))
  const items = node.kind === 'sequence' ? node.items : [node]
  return (
    items.length === bytes.length &&
    items.every(
      (item, index) =>
        item.kind === 'set' &&
        item.ranges.some(([first, last]) => first <= bytes[index]! && bytes[index]! <= last),
    )
  )
}

test.each<[string, Ranges]>([
  ['one character', [[0xe9, 0xe9]]],
  ['Greek letters', [[0x3b1, 0x3c9]]],
  [
    'everything beyond ASCII',
    [
      [0x80, 0xd7ff],
      [0xe000, 0x10ffff],
    ],
  ],
  [
    'odd ends',
    [
      [0x41, 0x5a],
      [0x7ff, 0x801],
      [0x1f68, 0x1f6f],
      [0xfffe, 0x10001],
      [0x10fffe, 0x10ffff],
    ],
  ],
])('the byte sequences of %s are those of its characters', (_, ranges) => {
  const node = toByteSets(new Map([['root', set(ranges)]])).get('root')!
  const wrong: string[] = []
  for (let code = 0; code <= 0x10ffff; code += code < 0x3000 || code > 0x10fff0 ? 1 : 7) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const isIn = ranges.some(([first, last]) => first <= code && code <= last)
    const bytes = Array.from(new TextEncoder().encode(String.fromCodePoint(code)))
    if (matches(node, bytes) !== isIn) wrong.push(code.toString(16))
  }
  expect(wrong).toEqual([])
})

let engine: GrammarEngine
beforeAll(async () => {
  const tokens = [...Array.from({ length: 256 }, (_, byte) => [byte]), undefined]
  engine = await createXgrammarEngine(await loadXgrammar(), {
    tokens,
    endIds: new Set([256]),
    hasMarks: false,
  })
})

test.each(['.', '\\S', '\\W', '[^α-ω]', '[а-яёé]', '[\\u0800-\\u0fff]'])(
  'XGrammar matches exactly the characters of %s',
  async (source) => {
    const compiled = await engine.compile({ type: 'regex', pattern: `a${source}b` }, 'responseFormat')
    const matcher = await compiled.createMatcher()
    matcher.accept(97)
    const expression = new RegExp(`^${source}$`, 'u')
    const wrong: string[] = []
    for (let code = 0; code < 0x11000; code += 1) {
      if (code >= 0xd800 && code <= 0xdfff) continue
      const text = String.fromCodePoint(code)
      const bytes = [...new TextEncoder().encode(text), 98]
      const end = bytes.findIndex((byte) => !matcher.accept(byte))
      matcher.rollback(end === -1 ? bytes.length : end)
      if ((end === -1) !== expression.test(text)) wrong.push(code.toString(16))
    }
    matcher.release()
    expect(wrong).toEqual([])
  },
)

test('a set with many ranges beyond ASCII is refused', async () => {
  const pattern = `[${Array.from({ length: 40 }, (_, index) => String.fromCodePoint(0x100 + index * 2)).join('')}]`
  await expect(engine.compile({ type: 'regex', pattern }, 'responseFormat')).rejects.toThrow(
    'more than 32 ranges',
  )
})
