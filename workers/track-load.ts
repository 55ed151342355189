import type { LoadProgress } from '../lib/contract/worker-api.js'
import type { PhaseTimes } from './phase-times.js'
import { collectProgress, type CollectProgress, type FilesProgress } from './store/collect-progress.js'

/** Follows a load from its first byte to the ready model. */
export interface LoadTracker {
  /** Takes the progress of the files. */
  readonly files: CollectProgress
  /** Reports that the files are there and the next phase starts. A phase that was entered before is ignored. */
  enterPhase(phase: 'load' | 'warm-up'): void
  /** Reports the end of the load. @returns how long the phases after the download took */
  finish(): PhaseTimes
  /** Ends all reports. */
  stop(): void
}

/** While the files other than the runtime's add up to less, the size of the weights is still unknown. */
const minModelBytes = 2e6
/** A rate that was measured for a shorter time says little: the first bytes arrive in bursts. */
const minRateMs = 500
/** How often the progress is reported while no bytes arrive. */
const tickMs = 200
/** The part of the time since a phase's start that is still expected when the phase takes longer than expected. */
const overrunShare = 0.1

const nothingFetched = { files: [], loadedBytes: 0, totalBytes: 0, bytesPerSecond: undefined }

/**
 * Creates a tracker. Its fraction is a share of time: with an exact `remainingMs`, it grows at a constant speed. Each report
 * moves it by the time that has passed, in proportion to the time that remains: so it never falls when a file's size becomes
 * known or the connection's speed changes, and it reaches 1 at the end.
 * @param runtimePath the file of the runtime, which says nothing about the size of the model
 * @param expectTimes returns the times to expect for the phases after the download of this many bytes
 */
export function trackLoad(
  onProgress: (progress: LoadProgress) => void,
  runtimePath: string,
  expectTimes: (totalBytes: number) => PhaseTimes,
): LoadTracker {
  let phase: LoadProgress['phase'] = 'download'
  let latest: FilesProgress | typeof nothingFetched = nothingFetched
  let fraction = 0
  const startedMs = performance.now()
  let countedMs = startedMs
  let loadStartedMs = startedMs
  let warmUpStartedMs: number | undefined
  let timer: ReturnType<typeof setInterval> | undefined

  /** @param remainingMs undefined if it is unknown. The time until it is known is counted later */
  function report(remainingMs: number | undefined, file?: string): void {
    const nowMs = performance.now()
    if (remainingMs !== undefined) {
      const passedMs = nowMs - countedMs
      countedMs = nowMs
      fraction = remainingMs === 0 ? 1 : fraction + (1 - fraction) * (passedMs / (passedMs + remainingMs))
    }
    const { files, loadedBytes, totalBytes, bytesPerSecond } = latest
    onProgress({ phase, file, files, loadedBytes, totalBytes, fraction, bytesPerSecond, remainingMs })
  }

  function reportFiles(progress: FilesProgress): void {
    latest = progress
    // A file whose size was unknown can still be read after the others.
    if (phase === 'load' || phase === 'warm-up') return
    phase = progress.phase
    const { loadMs, warmUpMs } = expectTimes(progress.totalBytes)
    const downloadMs = isMeasured(progress) ? progress.remainingMs : undefined
    report(downloadMs && downloadMs + loadMs + warmUpMs, progress.file)
  }

  /** Returns true if the remaining time says when the download ends: the weights' size and the rate are known. */
  function isMeasured({ files, loadedBytes, totalBytes }: FilesProgress): boolean {
    const runtimeBytes = files.find(({ path }) => path === runtimePath)?.totalBytes ?? 0
    const isSizeKnown = totalBytes - runtimeBytes >= minModelBytes && loadedBytes < totalBytes
    return isSizeKnown && performance.now() - startedMs >= minRateMs
  }

  function tick(): void {
    const { loadMs, warmUpMs } = expectTimes(latest.totalBytes)
    const remain = (expectedMs: number, phaseStartedMs: number) => {
      const elapsedMs = performance.now() - phaseStartedMs
      return Math.max(expectedMs - elapsedMs, elapsedMs * overrunShare)
    }
    report(
      warmUpStartedMs === undefined
        ? remain(loadMs, loadStartedMs) + warmUpMs
        : remain(warmUpMs, warmUpStartedMs),
    )
  }

  return {
    files: collectProgress(reportFiles),
    enterPhase(next) {
      if (next === 'load' ? phase === 'load' || phase === 'warm-up' : phase === 'warm-up') return
      phase = next
      if (next === 'load') loadStartedMs = performance.now()
      else warmUpStartedMs = performance.now()
      timer ??= setInterval(tick, tickMs)
      latest = { ...latest, bytesPerSecond: undefined }
      tick()
    },
    finish() {
      clearInterval(timer)
      const endedMs = performance.now()
      const warmUpMs = endedMs - (warmUpStartedMs ?? endedMs)
      report(0)
      return { loadMs: endedMs - loadStartedMs - warmUpMs, warmUpMs }
    },
    stop: () => clearInterval(timer),
  }
}
