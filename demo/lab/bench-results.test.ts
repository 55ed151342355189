import { expect, test } from 'vitest'
import { readBenchResults } from './bench-results.js'

const spread = { median: 1, min: 0.5, max: 2 }
/** Made up, in the benchmark's shape. */
const results = {
  date: '2026-11-26T12:00:00.000Z',
  machine: { processor: 'A processor', cores: 2, adapter: 'no GPU adapter' },
  rows: [
    {
      section: 'wasm',
      model: 'stories',
      context: 64,
      quantity: 'a token',
      unit: 'ms',
      value: spread,
      baseline: { name: 'transformers.js', value: spread },
      ratio: spread,
      bound: { of: 'ratio', kind: 'at most', limit: 1.03 },
      isHeld: true,
    },
    { section: 'memory', model: 'stories', quantity: 'left', unit: 'B', value: spread },
  ],
}

test('the benchmark’s file is read', () => {
  const read = readBenchResults(JSON.stringify(results))
  expect(read.machine).toBe('A processor, 2 cores; no GPU adapter')
  expect(read.rows).toMatchObject(results.rows)
})

for (const [what, text, sentence] of [
  ['no JSON', '{', /not JSON/],
  ['another JSON file', '{"name": "rivulet"}', /no result of the benchmark/],
  ['null', 'null', /no result of the benchmark/],
  ['a row without a value', JSON.stringify({ ...results, rows: [{ section: 'wasm' }] }), /Row 1/],
] as const) {
  test(`${what} is refused with a sentence`, () => {
    expect(() => readBenchResults(text)).toThrow(sentence)
  })
}
