import { describe, expect, it } from 'vitest'
import { computeLatency, recordLatency, type LatencyRecorder } from './latency.js'

const prefill = { promptTokens: 80, cachedPromptTokens: 30, queueMs: 12, prefillMs: 200 }

/** Token times with the listed gaps between them. */
function buildTimes(first: number, gaps: readonly number[]): number[] {
  const times = [first]
  for (const gap of gaps) times.push(times.at(-1)! + gap)
  return times
}

describe('the latency figures', () => {
  it('are computed from the recorded times', () => {
    expect(
      computeLatency({ start: 100, end: 1000, tokenTimes: buildTimes(400, [10, 30, 20, 40]), prefill }),
    ).toEqual({
      timeToFirstTokenMs: 300,
      interTokenLatencyMs: { p50: 20, p90: 40, p95: 40, p99: 40, max: 40 },
      queueMs: 12,
      prefillTokensPerSecond: 250,
      decodeTokensPerSecond: 40,
      decodeMs: 100,
      totalMs: 900,
    })
  })

  it('have nearest-rank percentiles, sorted as numbers', () => {
    // 1 to 200 in a mixed order: the pth percentile is the value at rank ceil(p × 200 / 100).
    const gaps = Array.from({ length: 200 }, (_, i) => ((i * 77) % 200) + 1)
    const { interTokenLatencyMs } = computeLatency({
      start: 0,
      end: 1e6,
      tokenTimes: buildTimes(0, gaps),
      prefill: undefined,
    })
    expect(interTokenLatencyMs).toEqual({ p50: 100, p90: 180, p95: 190, p99: 198, max: 200 })
  })

  it('have percentiles from the list even if it is short', () => {
    const percentiles = (gaps: readonly number[]) =>
      computeLatency({ start: 0, end: 9, tokenTimes: buildTimes(0, gaps), prefill }).interTokenLatencyMs
    expect(percentiles([7])).toEqual({ p50: 7, p90: 7, p95: 7, p99: 7, max: 7 })
    expect(percentiles([3, 1])).toEqual({ p50: 1, p90: 3, p95: 3, p99: 3, max: 3 })
    expect(percentiles([9, 1, 100])).toEqual({ p50: 9, p90: 100, p95: 100, p99: 100, max: 100 })
  })

  it('are undefined where they need a token and there is none', () => {
    expect(computeLatency({ start: 100, end: 150, tokenTimes: [], prefill: undefined })).toEqual({
      timeToFirstTokenMs: undefined,
      interTokenLatencyMs: undefined,
      queueMs: 0,
      prefillTokensPerSecond: undefined,
      decodeTokensPerSecond: undefined,
      decodeMs: undefined,
      totalMs: 50,
    })
  })

  it('are undefined where they need two tokens and there is one', () => {
    expect(computeLatency({ start: 100, end: 150, tokenTimes: [120], prefill })).toMatchObject({
      timeToFirstTokenMs: 20,
      interTokenLatencyMs: undefined,
      decodeTokensPerSecond: undefined,
    })
  })

  it('have no prefill rate if the whole prompt was cached', () => {
    const cached = { ...prefill, cachedPromptTokens: prefill.promptTokens }
    expect(computeLatency({ start: 0, end: 5, tokenTimes: [1], prefill: cached })).toMatchObject({
      prefillTokensPerSecond: undefined,
    })
  })

  it('have no rate if no time passed', () => {
    const figures = computeLatency({
      start: 0,
      end: 5,
      tokenTimes: [5, 5, 5],
      prefill: { ...prefill, prefillMs: 0 },
    })
    expect(figures).toMatchObject({ prefillTokensPerSecond: undefined, decodeTokensPerSecond: undefined })
    expect(figures.interTokenLatencyMs).toMatchObject({ p50: 0, max: 0 })
  })
})

describe('tokens that arrive several in a chunk', () => {
  it('count in the speed: 50 tokens in 5 chunks', () => {
    const tokenTimes = buildTimes(0, [125, 125, 125, 125])
    const figures = computeLatency({ start: 0, end: 600, tokenTimes, streamedTokens: 50, prefill: undefined })
    // The first chunk's 10 tokens came before `decodeMs`.
    expect(figures).toMatchObject({ decodeTokensPerSecond: 80, decodeMs: 500 })
    expect(figures.interTokenLatencyMs?.p50).toBe(125)
  })

  it('do not make one chunk a speed', () => {
    const figures = computeLatency({
      start: 0,
      end: 9,
      tokenTimes: [5],
      streamedTokens: 50,
      prefill: undefined,
    })
    expect(figures.decodeTokensPerSecond).toBeUndefined()
  })
})

describe('a recorded generation', () => {
  it('has the time of its tokens, and of the queue and prefill that the worker reported', async () => {
    const recorder = recordLatency()
    recorder.setPrefill(prefill)
    recorder.addToken('text')
    await new Promise((resolve) => setTimeout(resolve, 2))
    recorder.addToken('text')
    const latency = recorder.finish(2)
    expect(latency.decodeMs).toBe(latency.interTokenLatencyMs!.max)
    expect(latency).toMatchObject({ queueMs: 12, prefillTokensPerSecond: 250, firstTokenChannel: 'text' })
  })

  it('counts a mark and held back text to the channel that follows', async () => {
    const record = async (channels: readonly Parameters<LatencyRecorder['addToken']>[0][]) => {
      const recorder = recordLatency()
      for (const channel of channels) {
        await new Promise((resolve) => setTimeout(resolve, 2))
        recorder.addToken(channel)
      }
      return recorder.finish(channels.length)
    }
    const thinking = await record([undefined, 'reasoning', undefined, 'text'])
    expect(thinking.firstTokenChannel).toBe('reasoning')
    expect(thinking.timeToFirstTextMs).toBeGreaterThan(thinking.timeToFirstTokenMs!)
    const text = await record([undefined, undefined, 'text'])
    expect(text).toMatchObject({ firstTokenChannel: 'text', timeToFirstTextMs: text.timeToFirstTokenMs })
    expect(await record([undefined])).toMatchObject({
      firstTokenChannel: 'text',
      timeToFirstTextMs: undefined,
    })
  })
})
