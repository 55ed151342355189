import type { GenerationEnd, GenerationStart, ObservedChunk } from 'rivulet'
import { expect, test } from 'vitest'
import { meterRuns } from './meter-runs.js'
import type { Run } from './run.js'

const info = { model: 'https://models.example/stories/', backend: 'onnx', device: 'wasm' }

/** The reports have only the fields that the meter reads. */
const started = (generation: number) =>
  ({
    generation,
    startedAt: performance.now(),
    prompt: [
      { role: 'user', content: 'A story, please.' },
      { role: 'assistant', content: 'Once upon a time' },
      { role: 'user', content: 'Another one.' },
    ],
    info,
  }) as unknown as GenerationStart
const read = (generation: number, readMs: number) =>
  ({ generation, chunk: { tokenCount: 1 }, readMs, unreadChunks: 1, recoveries: 0 }) as ObservedChunk
const ended = (generation: number) =>
  ({
    generation,
    outcome: {
      kind: 'finished',
      result: {
        finishReason: 'stop',
        usage: { completionTokens: 2 },
        latency: { totalMs: 30 },
        recoveries: 0,
      },
    },
  }) as unknown as GenerationEnd

test('measures a generation from its reports, under the last question of the prompt', async () => {
  const runs: Run[] = []
  const meter = meterRuns((run) => runs.push(run))
  expect(meter.live.value).toBeUndefined()
  meter.onStart(started(1))
  meter.onChunk(read(1, 10))
  meter.onChunk(read(1, 25))
  await expect.poll(() => meter.live.value).toMatchObject({ isRunning: true, gapsMs: [15] })
  meter.onEnd(ended(1))
  // The chunks of a cancelled generation can be read after its end.
  meter.onChunk(read(1, 40))
  expect(runs).toMatchObject([
    {
      prompt: 'Another one.',
      model: { name: 'stories' },
      gapsMs: [15],
      figures: { readAhead: 1, tokens: 2 },
    },
  ])
  expect(meter.live.value).toMatchObject({ isRunning: false, id: runs[0]!.id })
})

test('shows the newest of several runs, and none after it is cleared', () => {
  const runs: Run[] = []
  const meter = meterRuns((run) => runs.push(run))
  meter.onStart(started(1))
  meter.onStart(started(2))
  meter.onEnd(ended(1))
  expect(meter.live.value).toMatchObject({ isRunning: true })
  meter.clear()
  meter.onEnd(ended(2))
  expect(meter.live.value).toBeUndefined()
  expect(runs).toHaveLength(2)
})
