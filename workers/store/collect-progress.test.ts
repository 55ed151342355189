import { describe, expect, it } from 'vitest'
import { collectProgress, type FilesProgress } from './collect-progress.js'

function collect() {
  const seen: FilesProgress[] = []
  const progress = collectProgress((each) => seen.push(each))
  const move = (path: string, loadedBytes: number, totalBytes?: number, sentBytes?: number) =>
    progress.moved(path, { phase: 'download', loadedBytes, totalBytes, sentBytes })
  return { seen, progress, move, last: () => seen.at(-1)! }
}

const wait = () => new Promise((resolve) => setTimeout(resolve, 20))

describe('the progress of the files', () => {
  it('is their sum', () => {
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

  it('never falls when a file is downloaded again', () => {
    const { seen, move, progress } = collect()
    move('data', 0, 100e6)
    move('data', 50e6, 100e6)
    progress.stored('tokenizer.json', 5e6)
    move('data', 10e6, 100e6)
    move('data', 100e6, 100e6)
    const loaded = seen.map(({ loadedBytes }) => loadedBytes)
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b))
  })

  it('does not count a file of unknown size', () => {
    const { move, last } = collect()
    move('page', 5e6)
    expect(last()).toMatchObject({ file: 'page', files: [], totalBytes: 0 })
  })

  it('measures the rate of downloaded bytes only, not of stored ones', async () => {
    const { progress, move, last } = collect()
    const started = performance.now()
    progress.stored('a', 50e6)
    move('b', 20e6, 100e6)
    const waitedFrom = performance.now()
    expect(last().bytesPerSecond).toBeUndefined()
    await wait()
    const waitedTo = performance.now()
    move('b', 30e6, 100e6)
    const ended = performance.now()
    const { bytesPerSecond, remainingMs } = last()
    // A timer may fire a fraction of a millisecond early, so the clock is read.
    expect(bytesPerSecond).toBeGreaterThanOrEqual((10e6 / (ended - started)) * 1000)
    expect(bytesPerSecond).toBeLessThanOrEqual((10e6 / (waitedTo - waitedFrom)) * 1000)
    expect(remainingMs).toBeCloseTo((70e6 / bytesPerSecond!) * 1000)
  })

  it('counts a compressed file by the bytes that the server sends', async () => {
    const { move, last } = collect()
    move('runtime.wasm', 0, 40e6, 10e6)
    move('weights', 0, 10e6)
    await wait()
    move('runtime.wasm', 20e6, 40e6, 10e6)
    move('weights', 5e6, 10e6)
    // Half of 10 MB and half of 10 MB remain, at the rate of both.
    const { bytesPerSecond, remainingMs } = last()
    expect(remainingMs).toBeCloseTo((10e6 / bytesPerSecond!) * 1000)
  })
})
