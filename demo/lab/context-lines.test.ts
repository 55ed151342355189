import { expect, test } from 'vitest'
import type { BenchRow } from './bench-results.js'
import { findContextLines } from './context-lines.js'

const spread = (median: number) => ({ median, min: median, max: median })

function createRow(quantity: string, context: number | undefined, value: number): BenchRow {
  return {
    section: 'wasm',
    model: 'stories',
    context,
    quantity,
    unit: 'ms',
    value: spread(value),
    baseline: { name: 'transformers.js', value: spread(value * 2) },
    ratio: spread(0.5),
    bound: undefined,
    isMet: undefined,
  }
}

test('a quantity measured at several context lengths becomes a line, sorted by context', () => {
  const rows = [
    createRow('time per token', 512, 3),
    createRow('time per token', 64, 1),
    createRow('second-turn TTFT', 64, 7),
    createRow('heap', undefined, 9),
  ]
  expect(findContextLines(rows)).toEqual([
    {
      title: 'wasm, stories: time per token',
      unit: 'ms',
      baselineName: 'transformers.js',
      contexts: [64, 512],
      values: [1, 3],
      baselines: [2, 6],
    },
  ])
})
