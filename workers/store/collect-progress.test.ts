import { describe, expect, it } from 'vitest'
import type { LoadProgress } from '../../lib/contract/worker-api.js'
import { collectProgress } from './collect-progress.js'

function collect() {
  const seen: LoadProgress[] = []
  const progress = collectProgress((each) => seen.push(each))
  const move = (path: string, loadedBytes: number, totalBytes?: number) =>
    progress.moved(path, { phase: 'download', loadedBytes, totalBytes })
  return { seen, progress, move, last: () => seen.at(-1)! }
}

describe('the progress of a model', () => {
  it('is the sum of its files', () => {
    const { move, last } = collect()
    move('a', 1e6, 4e6)
    move('b', 0, 6e6)
    move('b', 3e6, 6e6)
    expect(last()).toMatchObject({
      file: 'b',
      files: [
        { path: 'a', loadedBytes: 1e6, totalBytes: 4e6 },
        { path: 'b', loadedBytes: 3e6, totalBytes: 6e6 },
      ],
      loadedBytes: 4e6,
      totalBytes: 10e6,
    })
  })

  it('stays at 0 while only small files are known', () => {
    const { progress, last } = collect()
    progress.stored('config.json', 1000)
    expect(last()).toMatchObject({ fraction: 0, loadedBytes: 1000 })
  })

  it('never falls and reaches 1, in whatever order sizes become known', () => {
    const { seen, move, progress } = collect()
    move('graph', 0, 3e6)
    move('graph', 3e6, 3e6)
    move('data', 0, 100e6)
    move('data', 50e6, 100e6)
    progress.stored('tokenizer.json', 5e6)
    // Downloaded again.
    move('data', 10e6, 100e6)
    move('data', 100e6, 100e6)
    const fractions = seen.map(({ fraction }) => fraction)
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(fractions.at(-1)).toBe(1)
    const loaded = seen.map(({ loadedBytes }) => loadedBytes)
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b))
  })

  it('does not count a file of unknown size', () => {
    const { move, last } = collect()
    move('page', 5e6)
    expect(last()).toMatchObject({ file: 'page', files: [], totalBytes: 0, fraction: 0 })
  })

  it('measures the rate of downloaded bytes only, not of stored ones', async () => {
    const { progress, move, last } = collect()
    const started = performance.now()
    progress.stored('a', 50e6)
    move('b', 20e6, 100e6)
    const waitedFrom = performance.now()
    expect(last().bytesPerSecond).toBeUndefined()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const waitedTo = performance.now()
    move('b', 30e6, 100e6)
    const ended = performance.now()
    const { bytesPerSecond, remainingMs } = last()
    // A timer may fire a fraction of a millisecond early, so the clock is read.
    expect(bytesPerSecond).toBeGreaterThanOrEqual((10e6 / (ended - started)) * 1000)
    expect(bytesPerSecond).toBeLessThanOrEqual((10e6 / (waitedTo - waitedFrom)) * 1000)
    expect(remainingMs).toBeCloseTo((70e6 / bytesPerSecond!) * 1000)
  })
})
