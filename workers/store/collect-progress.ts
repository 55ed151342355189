import type { FileProgress, LoadProgress } from '../../lib/contract/worker-api.js'
import type { TransferProgress } from './download-job.js'

/** Adds up the progress of a model's files and reports the sum. */
export interface CollectProgress {
  /** Reports a file that was already stored. */
  stored(path: string, sizeBytes: number): void
  /** Reports the progress of a download. */
  moved(path: string, progress: TransferProgress): void
}

/** The download rate is measured over this last period, because the speed of a connection changes. */
const rateWindowMs = 3000

/** While the known file sizes add up to less, the size of the weights is still unknown, so the fraction stays at 0. */
const minKnownBytes = 2e6

export function collectProgress(onProgress: (progress: LoadProgress) => void): CollectProgress {
  const files = new Map<string, FileProgress>()
  const measureFraction = createFraction()
  const rate = createRate()

  function report(phase: TransferProgress['phase'], path: string, file: FileProgress | undefined): void {
    if (file) files.set(path, file)
    const all = [...files.values()]
    const loadedBytes = sum(all.map((each) => each.loadedBytes))
    const totalBytes = sum(all.map((each) => each.totalBytes))
    const bytesPerSecond = rate.measure()
    onProgress({
      phase,
      file: path,
      files: all,
      loadedBytes,
      totalBytes,
      fraction: measureFraction(loadedBytes, totalBytes),
      bytesPerSecond,
      remainingMs: bytesPerSecond && ((totalBytes - loadedBytes) / bytesPerSecond) * 1000,
    })
  }

  return {
    stored(path, sizeBytes) {
      report('download', path, { path, loadedBytes: sizeBytes, totalBytes: sizeBytes })
    },
    moved(path, { phase, loadedBytes: presentBytes, totalBytes }) {
      if (totalBytes === undefined) return report(phase, path, undefined)
      const before = files.get(path)
      // A file's first report counts the bytes that an earlier download stored. They must not count towards the rate.
      if (before) rate.add(presentBytes - before.loadedBytes)
      // When a file is downloaded again, its progress stays at the old value until the new download reaches that value.
      const loadedBytes = Math.min(totalBytes, Math.max(presentBytes, before?.loadedBytes ?? 0))
      report(phase, path, { path, loadedBytes, totalBytes })
    },
  }
}

/**
 * Creates a function that computes the fraction. When another file's size becomes known, only the remaining part is
 * rescaled, so the fraction never decreases, and ends at 1.
 */
function createFraction(): (loadedBytes: number, totalBytes: number) => number {
  let shown = { fraction: 0, loadedBytes: 0 }
  let from = shown
  let knownBytes = 0
  return (loadedBytes, totalBytes) => {
    if (totalBytes !== knownBytes) from = shown
    knownBytes = totalBytes
    const left = totalBytes - from.loadedBytes
    const part = totalBytes >= minKnownBytes && left > 0 ? (loadedBytes - from.loadedBytes) / left : 0
    shown = { fraction: Math.max(shown.fraction, from.fraction + (1 - from.fraction) * part), loadedBytes }
    return shown.fraction
  }
}

function createRate(): { add(bytes: number): void; measure(): number | undefined } {
  const samples: { readonly timeMs: number; readonly bytes: number }[] = []
  let fetchedBytes = 0
  return {
    add(bytes) {
      fetchedBytes += Math.max(0, bytes)
    },
    measure() {
      const timeMs = performance.now()
      samples.push({ timeMs, bytes: fetchedBytes })
      while (samples.length > 2 && timeMs - samples[0]!.timeMs > rateWindowMs) samples.shift()
      const [first] = samples
      const elapsedMs = timeMs - first!.timeMs
      return elapsedMs > 0 && fetchedBytes > first!.bytes
        ? ((fetchedBytes - first!.bytes) / elapsedMs) * 1000
        : undefined
    },
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
