import { afterEach, describe, expect, it } from 'vitest'
import { RivuletError } from './contract/errors.js'
import { computeLatency } from './latency.js'
import type { GenerationOutcome, GenerationStart } from './observer.js'
import { writePerformanceTimeline } from './performance-timeline.js'

const generation = 7

/** Observes one generation with these token times, which starts now. */
function observe(tokenMs: readonly number[], outcome: 'finished' | 'failed' = 'finished') {
  const start = performance.now()
  const tokenTimes = tokenMs.map((ms) => start + ms)
  const latency = computeLatency({ start, end: start + 100, tokenTimes, prefill: undefined })
  const usage = { promptTokens: 5, cachedPromptTokens: 0, completionTokens: tokenMs.length }
  const figures = { usage, latency, recoveries: 0 }
  const observer = writePerformanceTimeline()
  // The observer reads only these two.
  observer.onStart!({ generation, startedAt: start } as GenerationStart)
  const ended: GenerationOutcome =
    outcome === 'failed'
      ? { kind: 'failed', error: new RivuletError('device-lost', 'lost'), figures }
      : {
          kind: 'finished',
          result: { text: '', finishReason: 'stop', reasoning: '', toolCalls: [], parts: [], ...figures },
        }
  observer.onEnd!({ generation, outcome: ended } as Parameters<NonNullable<typeof observer.onEnd>>[0])
  return { start, latency }
}

const listMeasures = () =>
  Object.fromEntries(
    performance
      .getEntriesByType('measure')
      .filter(({ name }) => name.startsWith('rivulet:'))
      .map((entry) => [entry.name, entry as PerformanceMeasure]),
  )

describe('the Performance timeline', () => {
  afterEach(() => performance.clearMeasures())

  it('has the same figures as the result', () => {
    const { start, latency } = observe([10, 14, 20])
    const measures = listMeasures()
    expect(measures['rivulet:generation']?.startTime).toBeCloseTo(start)
    expect(measures['rivulet:generation']?.duration).toBeCloseTo(100)
    expect(measures['rivulet:time-to-first-token']?.duration).toBeCloseTo(latency.timeToFirstTokenMs!)
    expect(measures['rivulet:decode']?.startTime).toBeCloseTo(start + 10)
    expect(measures['rivulet:decode']?.duration).toBeCloseTo(10)
  })

  it('shows a failed generation in the error color of its DevTools track', () => {
    observe([], 'failed')
    expect(listMeasures()['rivulet:generation']?.detail).toEqual({
      devtools: {
        dataType: 'track-entry',
        track: 'rivulet',
        color: 'error',
        properties: [
          ['tokens', '0'],
          ['queue, ms', '0'],
        ],
      },
    })
  })

  it('has only the generation if there was no token', () => {
    observe([])
    expect(Object.keys(listMeasures())).toEqual(['rivulet:generation'])
  })

  it('never keeps more than 200 generations, over all engines of the page', () => {
    const { latency } = observe([])
    const usage = { promptTokens: 0, cachedPromptTokens: 0, completionTokens: 0 }
    const result = {
      text: '',
      finishReason: 'stop',
      reasoning: '',
      toolCalls: [],
      parts: [],
      usage,
      latency,
      recoveries: 0,
    } as const
    for (let count = 1; count <= 500; count += 1) {
      const observer = writePerformanceTimeline()
      observer.onStart!({ generation: count, startedAt: 0 } as GenerationStart)
      observer.onEnd!({ generation: count, outcome: { kind: 'finished', result } } as never)
    }
    expect(performance.getEntriesByName('rivulet:generation').length).toBeLessThanOrEqual(200)
  })
})
