import type { FileProgress, LoadProgress } from '../../lib/contract/worker-api.js'
import type { TransferProgress } from './download-job.js'

/** Adds up the progress of the files of a load and reports the sum. */
export interface CollectProgress {
  /** Reports a file that was already stored. */
  stored(path: string, sizeBytes: number): void
  /** Reports the progress of a download. */
  moved(path: string, progress: TransferProgress): void
}

/** The progress of all files of a load. */
export interface FilesProgress extends Pick<
  LoadProgress,
  'file' | 'files' | 'loadedBytes' | 'totalBytes' | 'bytesPerSecond' | 'remainingMs'
> {
  readonly phase: TransferProgress['phase']
}

/** The download rate is measured over this last period, because the speed of a connection changes. */
const rateWindowMs = 3000

export function collectProgress(onProgress: (progress: FilesProgress) => void): CollectProgress {
  const files = new Map<string, FileProgress>()
  /** The share of a file's bytes that the server sends, by path; 1 if the file is not compressed. */
  const sentShares = new Map<string, number>()
  const rate = createRate()

  function report(phase: TransferProgress['phase'], path: string, file: FileProgress | undefined): void {
    if (file) files.set(path, file)
    const all = [...files.values()]
    const bytesPerSecond = rate.measure()
    const missingBytes = sum(
      all.map((each) => (each.totalBytes - each.loadedBytes) * (sentShares.get(each.path) ?? 1)),
    )
    onProgress({
      phase,
      file: path,
      files: all,
      loadedBytes: sum(all.map((each) => each.loadedBytes)),
      totalBytes: sum(all.map((each) => each.totalBytes)),
      bytesPerSecond,
      remainingMs: bytesPerSecond && (missingBytes / bytesPerSecond) * 1000,
    })
  }

  return {
    stored(path, sizeBytes) {
      report('download', path, { path, loadedBytes: sizeBytes, totalBytes: sizeBytes })
    },
    moved(path, { phase, loadedBytes: presentBytes, totalBytes, sentBytes = Infinity }) {
      if (totalBytes === undefined) return report(phase, path, undefined)
      const sentShare = totalBytes > 0 ? Math.min(1, sentBytes / totalBytes) : 1
      sentShares.set(path, sentShare)
      const before = files.get(path)
      // A file's first report counts the bytes that an earlier download stored. They must not count towards the rate.
      if (before) rate.add((presentBytes - before.loadedBytes) * sentShare)
      // When a file is downloaded again, its progress stays at the old value until the new download reaches that value.
      const loadedBytes = Math.min(totalBytes, Math.max(presentBytes, before?.loadedBytes ?? 0))
      report(phase, path, { path, loadedBytes, totalBytes })
    },
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
      // The time before the first byte is the server's, not the connection's.
      if (fetchedBytes === 0) samples.length = 0
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
