import type { GenerationResult } from 'rivulet'
import { describe, expect, test } from 'vitest'
import { recordRun, type RunModel } from './run.js'

const model: RunModel = {
  name: 'stories',
  backend: 'onnx',
  device: 'wasm',
  deviceDescription: 'CPU, 2 threads',
  dtype: 'q8',
}
const token = { tokenCount: 1 }

const result: GenerationResult = {
  text: 'Once upon',
  finishReason: 'length',
  usage: { promptTokens: 40, cachedPromptTokens: 30, completionTokens: 3 },
  latency: {
    timeToFirstTokenMs: 101,
    interTokenLatencyMs: { p50: 11, p90: 12, p95: 13, p99: 14, max: 15 },
    queueMs: 7,
    prefillTokensPerSecond: 500,
    decodeTokensPerSecond: 90,
    decodeMs: 22,
    totalMs: 130,
    model: undefined,
  },
  recoveries: 1,
  parts: [],
}

describe('a run', () => {
  test('has figures while it is running', () => {
    const recorder = recordRun('Hello', model, 1000)
    expect(recorder.read(1050)).toMatchObject({
      isRunning: true,
      figures: { timeToFirstTokenMs: undefined, tokensPerSecond: undefined, tokens: 0, totalMs: 50 },
      gapsMs: [],
    })
    for (const nowMs of [1100, 1110, 1140]) recorder.addChunk(token, nowMs)
    expect(recorder.read(1150)).toMatchObject({
      figures: {
        timeToFirstTokenMs: 100,
        tokensPerSecond: 50,
        interTokenP50Ms: 10,
        interTokenP99Ms: 30,
        queueMs: undefined,
        tokens: 3,
        totalMs: 150,
      },
      gapsMs: [10, 30],
    })
  })

  test('ends with the library’s figures and keeps the gaps and the read-ahead measured on the page', () => {
    const recorder = recordRun('Hello', model, 1000)
    for (const nowMs of [1100, 1110, 1110]) recorder.addChunk(token, nowMs)
    const run = recorder.finish({ kind: 'finished', result }, 1150)
    expect(run).toMatchObject({
      prompt: 'Hello',
      model,
      startedAt: performance.timeOrigin + 1000,
      outcome: { kind: 'finished', finishReason: 'length' },
      gapsMs: [10, 0],
    })
    expect(run.figures).toEqual({
      timeToFirstTokenMs: 101,
      tokensPerSecond: 90,
      interTokenP50Ms: 11,
      interTokenP95Ms: 13,
      interTokenP99Ms: 14,
      prefillTokensPerSecond: 500,
      queueMs: 7,
      promptTokens: 40,
      cachedTokens: 30,
      recoveries: 1,
      // All three were read in one task: two were ready while the first was read.
      readAhead: 2,
      totalMs: 130,
      tokens: 3,
    })
  })

  test('that failed has the error code and the figures measured so far', () => {
    const recorder = recordRun('Hello', model, 1000)
    recorder.addChunk(token, 1100)
    const run = recorder.finish({ kind: 'failed', code: 'worker-failed' }, 1200)
    expect(run.outcome).toEqual({ kind: 'failed', code: 'worker-failed' })
    expect(run.figures).toMatchObject({
      timeToFirstTokenMs: 100,
      tokens: 1,
      totalMs: 200,
      queueMs: undefined,
    })
  })

  test('does not count a chunk without tokens', () => {
    const recorder = recordRun('Hello', model, 1000)
    recorder.addChunk({ tokenCount: 0 }, 1050)
    recorder.addChunk(token, 1100)
    expect(recorder.read(1100).figures).toMatchObject({ timeToFirstTokenMs: 100, tokens: 1 })
  })
})
