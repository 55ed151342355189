import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createPartialJson } from './partial-json.js'

/** Reads a text in pieces of `size` characters. Returns the values after each piece that changed them. */
function read(text: string, size = 1): unknown[] {
  const reader = createPartialJson()
  const values: unknown[] = []
  for (let at = 0; at < text.length; at += size) {
    if (reader.add(text.slice(at, at + size))) values.push(reader.value)
  }
  return values
}

const parsed = (text: string) => JSON.parse(text) as unknown

const texts = [
  '{}',
  '[]',
  '""',
  ' { "a" : 1 , "b" : [ true , false , null ] } \n',
  '[[],[[]],{"":{}},-0,1.5e-3,12E+2]',
  '["\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00", "é😀\u007f\u0085\u2028"]',
  '{"__proto__":{"x":1},"constructor":"y","a":"__proto__"}',
  '{"a":1,"a":2}',
]

/** True if `later` is what `earlier` can grow to: only the last string, list or object of each level grows. */
function isGrowth(earlier: unknown, later: unknown): boolean {
  if (typeof earlier === 'string') return typeof later === 'string' && later.startsWith(earlier)
  if (typeof earlier !== 'object' || earlier === null) return Object.is(earlier, later)
  if (typeof later !== 'object' || later === null) return false
  const [before, after] = [Object.entries(earlier), Object.entries(later)] as [
    [string, unknown][],
    [string, unknown][],
  ]
  return (
    Array.isArray(earlier) === Array.isArray(later) &&
    before.every(([key, value], index) => {
      const [laterKey, laterValue] = after[index] ?? []
      const isLast = index === before.length - 1
      return (
        key === laterKey &&
        (isLast ? isGrowth(value, laterValue) : JSON.stringify(value) === JSON.stringify(laterValue))
      )
    })
  )
}

describe('a JSON text that grows', () => {
  it.each(texts)('has in the end the value of JSON.parse, in whatever pieces: %s', (text) => {
    for (let size = 1; size <= text.length; size += 1) {
      expect(read(text, size).at(-1)).toStrictEqual(parsed(text))
    }
  })

  it('grows only at its end, and numbers and words appear when they are complete', () => {
    expect(read('{"a":12,"b":"xy","c":[true,"z"]}')).toEqual([
      {},
      { a: 12 },
      { a: 12, b: '' },
      { a: 12, b: 'x' },
      { a: 12, b: 'xy' },
      { a: 12, b: 'xy' },
      { a: 12, b: 'xy', c: [] },
      { a: 12, b: 'xy', c: [true] },
      { a: 12, b: 'xy', c: [true, ''] },
      { a: 12, b: 'xy', c: [true, 'z'] },
      { a: 12, b: 'xy', c: [true, 'z'] },
      { a: 12, b: 'xy', c: [true, 'z'] },
      { a: 12, b: 'xy', c: [true, 'z'] },
    ])
    for (const text of texts.filter((each) => !each.includes('"a":1,"a"'))) {
      const values = read(text)
      values.forEach((value, index) => {
        if (index > 0) expect(isGrowth(values[index - 1], value), `${text} at ${index}`).toBe(true)
      })
    }
  })

  it('never shows half of a character', () => {
    for (const value of read('["\\ud83d\\ude00"]').flat()) expect(value).not.toMatch(/\p{Surrogate}/u)
  })

  it('has snapshots that do not change, and that share the parts that are complete', () => {
    const reader = createPartialJson()
    reader.add('{"list":[{"a":1},{"b":')
    const first = reader.value as { list: object[] }
    const written = JSON.stringify(first)
    reader.add('2}],"more":"te')
    const second = reader.value as { list: object[] }
    expect(JSON.stringify(first)).toBe(written)
    expect(second.list[0]).toBe(first.list[0])
    reader.add('xt')
    expect((reader.value as { list: object[] }).list).toBe(second.list)
  })

  it('sets no prototype', () => {
    const [value] = read('{"__proto__":{"isAdmin":true}}', 99) as { isAdmin?: boolean }[]
    expect(value?.isAdmin).toBeUndefined()
    expect(Object.keys(value!)).toEqual(['__proto__'])
  })

  it.each([
    '{"a" 1}',
    '{a:1}',
    '[1 2]',
    '{"a":tru3}',
    '["\\x"]',
    '["\n"]',
    '[1}',
    ']',
    'NaN',
    '[1,]',
    '{"a":1,}',
    '{} {}',
    '[01]',
  ])('keeps its value where it stops to be JSON: %s', (text) => {
    expect(() => parsed(text)).toThrow(SyntaxError)
    const reader = createPartialJson()
    reader.add(text)
    const before = JSON.stringify(reader.value)
    expect(reader.add('{"x":["y"]}')).toBe(false)
    expect(JSON.stringify(reader.value)).toBe(before)
  })

  it('of any depth neither overflows the stack nor takes long', () => {
    const reader = createPartialJson()
    for (let count = 0; count < 1000; count += 1) reader.add('[{"a":'.repeat(100))
    expect(JSON.stringify(reader.value).length).toBeGreaterThan(1000)
  })

  it('of many tokens is read in a time that grows with its length, not with its square', () => {
    const measure = (items: number) => {
      const reader = createPartialJson()
      const start = performance.now()
      for (let index = 0; index < items; index += 1) reader.add(`${index === 0 ? '[' : ','}"word ${index}"`)
      return performance.now() - start
    }
    measure(20_000)
    // Ten times the text takes ten times as long; reading it again for each token would take 100 times as long.
    expect(measure(200_000) / measure(20_000)).toBeLessThan(50)
  })
})

it('package.json is read as JSON.parse reads it, in whatever pieces', () => {
  const text = readFileSync('package.json', 'utf8')
  for (const size of [1, 7, 100]) expect(read(text, size).at(-1)).toStrictEqual(parsed(text))
})
