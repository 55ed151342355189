import { RivuletError, type GenerationResult } from 'rivulet'
import { describe, expect, test } from 'vitest'
import { recordRun, type RunModel } from './run.js'

const model: RunModel = {
  name: 'stories',
  backend: 'onnx',
  device: 'wasm',
  deviceDescription: 'CPU, 2 threads',
  dtype: 'q8',
}

/** A report of a chunk with one token. */
const readAt = (readMs: number, { tokenCount = 1, unreadChunks = 0, recoveries = 0 } = {}) => ({
  chunk: { tokenCount },
  readMs,
  unreadChunks,
  recoveries,
})

const result: GenerationResult = {
  text: 'Once upon',
  finishReason: 'length',
  usage: { promptTokens: 40, cachedPromptTokens: 30, completionTokens: 3 },
  latency: {
    timeToFirstTokenMs: 101,
    firstTokenChannel: 'text',
    timeToFirstTextMs: undefined,
    interTokenLatencyMs: { p50: 11, p90: 12, p95: 13, p99: 14, max: 15 },
    queueMs: 7,
    prefillTokensPerSecond: 500,
    decodeTokensPerSecond: 90,
    decodeMs: 22,
    totalMs: 130,
    model: undefined,
  },
  recoveries: 1,
  reasoning: '',
  toolCalls: [],
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
    for (const readMs of [100, 110, 140]) recorder.addChunk(readAt(readMs))
    expect(recorder.read(1150)).toMatchObject({
      figures: {
        timeToFirstTokenMs: 100,
        tokensPerSecond: 50,
        interTokenP50Ms: 10,
        interTokenP99Ms: 30,
        queueMs: undefined,
        recoveries: 0,
        tokens: 3,
        totalMs: 150,
      },
      gapsMs: [10, 30],
    })
  })

  test('ends with the library’s figures and keeps the gaps and the read-ahead measured on the page', () => {
    const recorder = recordRun('Hello', model, 1000)
    recorder.addChunk(readAt(100, { unreadChunks: 0 }))
    recorder.addChunk(readAt(110, { unreadChunks: 2 }))
    recorder.addChunk(readAt(110, { unreadChunks: 1, recoveries: 1 }))
    const run = recorder.finish({ kind: 'finished', result })
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
      readAhead: 2,
      totalMs: 130,
      tokens: 3,
    })
  })

  test('that failed has the error code and the library’s figures', () => {
    const recorder = recordRun('Hello', model, 1000)
    recorder.addChunk(readAt(100))
    const { usage, latency, recoveries } = result
    const run = recorder.finish({
      kind: 'failed',
      error: new RivuletError('worker-failed', 'The worker stopped.'),
      figures: { usage, latency, recoveries },
    })
    expect(run.outcome).toEqual({ kind: 'failed', code: 'worker-failed' })
    expect(run.figures).toMatchObject({ timeToFirstTokenMs: 101, tokens: 3, totalMs: 130, recoveries: 1 })
  })

  test('shows a recovery while it is running', () => {
    const recorder = recordRun('Hello', model, 1000)
    recorder.addChunk(readAt(100))
    recorder.addChunk(readAt(900, { recoveries: 1 }))
    expect(recorder.read(1900).figures.recoveries).toBe(1)
  })

  test('does not count a chunk without tokens', () => {
    const recorder = recordRun('Hello', model, 1000)
    recorder.addChunk(readAt(50, { tokenCount: 0 }))
    recorder.addChunk(readAt(100))
    expect(recorder.read(1100).figures).toMatchObject({ timeToFirstTokenMs: 100, tokens: 1 })
  })
})
