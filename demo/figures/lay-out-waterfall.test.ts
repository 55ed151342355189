import { describe, expect, test } from 'vitest'
import { layOutWaterfall } from './lay-out-waterfall.js'
import type { RunFigures } from './run.js'

const figures: RunFigures = {
  timeToFirstTokenMs: 100,
  tokensPerSecond: 50,
  interTokenP50Ms: 10,
  interTokenP95Ms: 30,
  interTokenP99Ms: 30,
  prefillTokensPerSecond: 500,
  queueMs: 20,
  promptTokens: 40,
  cachedTokens: 10,
  recoveries: 0,
  readAhead: 0,
  totalMs: 160,
  tokens: 3,
}

function listSpans(changed: Partial<RunFigures>, gapsMs: readonly number[] = [10, 30]) {
  const { spans } = layOutWaterfall({ figures: { ...figures, ...changed }, gapsMs })
  return spans.map(({ name, startMs, endMs }) => [name, startMs, endMs])
}

describe('a waterfall', () => {
  test('covers the request from queue to end without gaps', () => {
    expect(listSpans({})).toEqual([
      ['Queue', 0, 20],
      // 30 tokens at 500 tokens/s.
      ['Prefill', 20, 80],
      ['First token', 80, 100],
      ['Decode', 100, 140],
      ['End', 140, 160],
    ])
    expect(layOutWaterfall({ figures, gapsMs: [10, 30] }).tokenTimesMs).toEqual([100, 110, 140])
  })

  test('adds an unknown duration to the next span', () => {
    const unknown = { queueMs: undefined, promptTokens: undefined, prefillTokensPerSecond: undefined }
    expect(listSpans(unknown).slice(0, 3)).toEqual([
      ['Queue', 0, 0],
      ['Prefill', 0, 0],
      ['First token', 0, 100],
    ])
  })

  test('has empty token spans if no token was generated', () => {
    expect(listSpans({ timeToFirstTokenMs: undefined, totalMs: 90 }, [])).toEqual([
      ['Queue', 0, 20],
      ['Prefill', 20, 80],
      ['First token', 80, 80],
      ['Decode', 80, 80],
      ['End', 80, 90],
    ])
  })

  test('never ends a span measured in the worker after the first token on the page', () => {
    const spans = layOutWaterfall({ figures: { ...figures, queueMs: 90 }, gapsMs: [10, 30] }).spans
    expect(spans.map(({ endMs }) => endMs)).toEqual([90, 100, 100, 140, 160])
  })
})
