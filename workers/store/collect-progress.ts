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

export function collectProgress(onProgress: (progress: LoadProgress) => void): CollectProgress {
  const files = new Map<string, FileProgress>()
  const samples: { readonly timeMs: number; readonly fetchedBytes: number }[] = []
  let fetchedBytes = 0
  let fraction = 0

  function measureRate(): number | undefined {
    const nowMs = performance.now()
    samples.push({ timeMs: nowMs, fetchedBytes })
    while (samples.length > 2 && nowMs - samples[0]!.timeMs > rateWindowMs) samples.shift()
    const [first] = samples
    return nowMs > first!.timeMs
      ? ((fetchedBytes - first!.fetchedBytes) / (nowMs - first!.timeMs)) * 1000
      : undefined
  }

  function report(phase: 'download' | 'verify', path: string, next: FileProgress): void {
    // A file that is fetched anew stands still until it is as far as it was.
    const before = files.get(path)
    files.set(path, { ...next, loadedBytes: Math.max(next.loadedBytes, before?.loadedBytes ?? 0) })
    const all = [...files.values()]
    const loadedBytes = all.reduce((sum, file) => sum + file.loadedBytes, 0)
    const totalBytes = all.reduce((sum, file) => sum + file.totalBytes, 0)
    fraction = Math.max(fraction, totalBytes > 0 ? loadedBytes / totalBytes : 0)
    const bytesPerSecond = measureRate()
    onProgress({
      phase,
      file: path,
      files: all,
      loadedBytes,
      totalBytes,
      fraction,
      bytesPerSecond,
      remainingMs: bytesPerSecond ? ((totalBytes - loadedBytes) / bytesPerSecond) * 1000 : undefined,
    })
  }

  return {
    stored(path, sizeBytes) {
      report('download', path, { path, loadedBytes: sizeBytes, totalBytes: sizeBytes })
    },
    moved(path, { phase, loadedBytes, totalBytes = loadedBytes }) {
      const before = files.get(path)
      // What an earlier visit left was not fetched now.
      if (before) fetchedBytes += Math.max(0, loadedBytes - before.loadedBytes)
      report(phase, path, { path, loadedBytes, totalBytes })
    },
  }
}
