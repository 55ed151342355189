import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { LoadProgress } from '../lib/contract/worker-api.js'
import { trackLoad } from './track-load.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const times = { loadMs: 4000, warmUpMs: 6000 }

function track(expected = times) {
  const seen: (LoadProgress & { readonly atMs: number })[] = []
  const startedMs = performance.now()
  const tracker = trackLoad(
    (progress) => seen.push({ ...progress, atMs: performance.now() - startedMs }),
    'runtime.wasm',
    () => expected,
  )
  /** Downloads files at 1 MB/s, together. */
  const download = (files: Readonly<Record<string, number>>) => {
    const megabytes = Math.max(...Object.values(files))
    const share = Object.keys(files).length
    for (let half = 0; half <= megabytes * 2 * share; half += 1) {
      for (const [path, size] of Object.entries(files)) {
        const totalBytes = size * 1e6
        const loadedBytes = Math.min(totalBytes, ((half / 2) * 1e6) / share)
        tracker.files.moved(path, { phase: 'download', loadedBytes, totalBytes })
      }
      vi.advanceTimersByTime(500)
    }
  }
  const fractions = () => seen.map(({ fraction }) => fraction)
  return { tracker, seen, download, fractions, last: () => seen.at(-1)! }
}

/** Returns the largest difference between the fraction and the part of the time that has passed. */
function measureError(seen: ReturnType<typeof track>['seen']): number {
  const { atMs: totalMs } = seen.at(-1)!
  return Math.max(...seen.map(({ fraction, atMs }) => Math.abs(fraction - atMs / totalMs)))
}

it('the fraction is the part of the time that has passed, and remainingMs the rest', () => {
  const { tracker, seen, download, last } = track()
  download({ 'runtime.wasm': 10, weights: 10 })
  tracker.enterPhase('load')
  vi.advanceTimersByTime(times.loadMs)
  tracker.enterPhase('warm-up')
  vi.advanceTimersByTime(times.warmUpMs)
  tracker.finish()
  expect(last()).toMatchObject({ phase: 'warm-up', fraction: 1, remainingMs: 0 })
  const { atMs: totalMs } = last()
  expect(totalMs).toBeGreaterThanOrEqual(30_000)
  expect(measureError(seen)).toBeLessThan(0.05)
  for (const { remainingMs, atMs } of seen) {
    if (remainingMs !== undefined && atMs > 3000)
      expect(Math.abs(remainingMs - (totalMs - atMs))).toBeLessThan(totalMs / 10)
  }
})

it('the fraction never falls when the size of another file becomes known', () => {
  const { tracker, download, fractions } = track()
  download({ graph: 3 })
  download({ data: 40 })
  tracker.files.stored('tokenizer.json', 5e6)
  tracker.enterPhase('load')
  tracker.enterPhase('warm-up')
  tracker.finish()
  expect(fractions()).toEqual(fractions().toSorted((a, b) => a - b))
  expect(fractions().at(-1)).toBe(1)
})

it('the fraction stays at 0 while only the runtime and small files are known', () => {
  const { tracker, last } = track()
  tracker.files.stored('config.json', 1000)
  tracker.files.moved('runtime.wasm', { phase: 'download', loadedBytes: 0, totalBytes: 10e6 })
  vi.advanceTimersByTime(1000)
  tracker.files.moved('runtime.wasm', { phase: 'download', loadedBytes: 5e6, totalBytes: 10e6 })
  expect(last()).toMatchObject({ fraction: 0, remainingMs: undefined })
})

it('a load that downloads nothing is measured by the times of the last one', () => {
  const { tracker, seen } = track()
  tracker.files.stored('runtime.wasm', 10e6)
  tracker.files.stored('weights', 10e6)
  tracker.enterPhase('load')
  vi.advanceTimersByTime(times.loadMs)
  tracker.enterPhase('warm-up')
  vi.advanceTimersByTime(times.warmUpMs)
  expect(tracker.finish()).toEqual(times)
  expect(measureError(seen)).toBeLessThan(0.05)
})

it('a phase that takes longer than expected keeps moving, and does not reach the end', () => {
  const { tracker, seen, fractions } = track({ loadMs: 1000, warmUpMs: 1000 })
  tracker.enterPhase('load')
  vi.advanceTimersByTime(20_000)
  const late = seen.filter(({ atMs }) => atMs > 2000).map(({ fraction }) => fraction)
  expect(late.every((fraction, index) => fraction < 1 && (index === 0 || fraction > late[index - 1]!))).toBe(
    true,
  )
  tracker.stop()
  const reports = fractions().length
  vi.advanceTimersByTime(10_000)
  expect(fractions()).toHaveLength(reports)
})
