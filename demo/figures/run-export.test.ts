import { expect, test } from 'vitest'
import { createRunExport } from './run-export.js'
import { createRun } from './run.test-support.js'

test('an export names its format and contains each complete run', () => {
  const run = createRun('Tell me a story.', { startedAt: 1234 })
  const exported = createRunExport([run], new Date('2026-11-26T12:00:00Z'))
  expect(JSON.parse(JSON.stringify(exported))).toEqual({
    format: 'rivulet-runs',
    version: 1,
    exportedAt: '2026-11-26T12:00:00.000Z',
    runs: [
      {
        id: run.id,
        prompt: 'Tell me a story.',
        model: {
          name: 'stories',
          backend: 'onnx',
          device: 'wasm',
          deviceDescription: 'CPU, 1 thread',
          dtype: 'q8',
        },
        startedAt: 1234,
        outcome: { kind: 'finished', finishReason: 'stop' },
        figures: {
          timeToFirstTokenMs: 10,
          tokensPerSecond: 100,
          interTokenP50Ms: 10,
          interTokenP95Ms: 10,
          interTokenP99Ms: 10,
          prefillTokensPerSecond: 1000,
          queueMs: 0,
          promptTokens: 20,
          cachedTokens: 0,
          recoveries: 0,
          readAhead: 1,
          totalMs: 110,
          tokens: 10,
        },
        gapsMs: Array.from({ length: 9 }, () => 10),
      },
    ],
  })
})
