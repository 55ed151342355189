import type { FileProgress, LoadProgress } from '../../lib/contract/worker-api.js'
import type { TransferProgress } from './download-file.js'

/** Puts the progress of single files together. */
export interface CollectProgress {
  /** It was there already. */
  stored(path: string, sizeBytes: number): void
  moved(path: string, progress: TransferProgress): void
}

/** The rate is that of the last seconds: connections change. */
const rateWindowMs = 3000

/** Files of less than this in all are what comes before the weights, whose size is not known yet. */
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
    moved(path, { phase, loadedBytes: there, totalBytes }) {
      if (totalBytes === undefined) return report(phase, path, undefined)
      const before = files.get(path)
      // What an earlier visit left was not fetched now.
      if (before) rate.add(there - before.loadedBytes)
      // A file that is fetched anew stands still until it is as far as it was.
      const loadedBytes = Math.min(totalBytes, Math.max(there, before?.loadedBytes ?? 0))
      report(phase, path, { path, loadedBytes, totalBytes })
    },
  }
}

/** Where another size becomes known, the way that is left is divided anew: nothing falls, and 1 is the end. */
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
