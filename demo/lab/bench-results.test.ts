import { expect, test } from 'vitest'
import { readBenchResults } from './bench-results.js'
// Of npm run bench -- --only llama-cpp --contexts 8 --models stories --rounds 11, on a machine that did much else meanwhile.
import written from './bench-results.test-support.json?raw'

test('what the benchmark has written is read', () => {
  const read = readBenchResults(written)
  expect(read.date).toBe('2026-11-26T15:28:57.146Z')
  expect(read.machine).toBe('AMD EPYC, 2 cores; google swiftshader')
  // What JSON leaves out is undefined.
  expect(read.rows).toEqual((JSON.parse(written) as { rows: unknown }).rows)
  expect(read.rows.map(({ quantity }) => quantity)).toContain('first token')
})

for (const [what, text, sentence] of [
  ['no JSON', '{', /not JSON/],
  ['another JSON file', '{"name": "rivulet"}', /no result of the benchmark/],
  ['null', 'null', /no result of the benchmark/],
  ['a row without a value', JSON.stringify({ ...JSON.parse(written), rows: [{ section: 'wasm' }] }), /Row 1/],
] as const) {
  test(`${what} is refused with a sentence`, () => {
    expect(() => readBenchResults(text)).toThrow(sentence)
  })
}
