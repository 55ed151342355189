import type { LoadProgress } from '../../lib/contract/worker-api.js'
import type { InitProgressReport } from './runtime.js'

/** By how web-llm's reports begin; the rest concerns the download. */
const phases = [
  { begin: 'Loading model from cache', phase: 'load' },
  { begin: 'Loading GPU shader modules', phase: 'warm-up' },
  { begin: 'Finish loading', phase: 'warm-up' },
] as const satisfies readonly { begin: string; phase: LoadProgress['phase'] }[]

/** Turns web-llm's reports, which begin anew with each thing that it does, into ours. */
export function createProgressReader(): (report: InitProgressReport) => LoadProgress {
  let fraction = 0
  return ({ progress, text }) => {
    const phase = phases.find(({ begin }) => text.startsWith(begin))?.phase ?? 'download'
    // A share of nothing is not a number.
    const downloaded = phase === 'download' ? Math.min(Number.isFinite(progress) ? progress : 0, 1) : 1
    fraction = Math.max(fraction, downloaded)
    // It tells whole MiB, of all weight files together.
    const loadedBytes = Number(/(\d+)MB (?:fetched|loaded)/.exec(text)?.[1] ?? 0) * 2 ** 20
    const totalBytes = progress > 0 ? Math.round(loadedBytes / progress) : 0
    return {
      phase,
      file: undefined,
      files: [],
      loadedBytes,
      totalBytes: Math.max(totalBytes, loadedBytes),
      fraction,
      bytesPerSecond: undefined,
      remainingMs: undefined,
    }
  }
}
