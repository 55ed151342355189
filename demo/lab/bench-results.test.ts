import { expect, test } from 'vitest'
import { readBenchResults } from './bench-results.js'
// Written by npm run bench -- --only llama-cpp --contexts 8 --models stories --rounds 11, on a machine under other load.
import resultsJson from './bench-results.test-support.json?raw'

test('reads the results of the benchmark', () => {
  const read = readBenchResults(resultsJson)
  expect(read.date).toBe('2026-11-26T15:28:57.146Z')
  expect(read.machine).toBe('AMD EPYC, 2 cores; google swiftshader')
  expect(read.rows).toEqual((JSON.parse(resultsJson) as { rows: unknown }).rows)
  expect(read.rows.map(({ quantity }) => quantity)).toContain('TTFT')
})

for (const [title, text, message] of [
  ['a file that is not JSON', '{', /not valid JSON/],
  ['another JSON file', '{"name": "rivulet"}', /does not contain benchmark results/],
  ['null', 'null', /does not contain benchmark results/],
  [
    'a row without a value',
    JSON.stringify({ ...JSON.parse(resultsJson), rows: [{ section: 'wasm' }] }),
    /Row 1/,
  ],
] as const) {
  test(`rejects ${title} with an explanation`, () => {
    expect(() => readBenchResults(text)).toThrow(message)
  })
}
