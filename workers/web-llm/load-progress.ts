import type { LoadProgress } from '../../lib/contract/worker-api.js'
import type { InitProgressReport } from './runtime.js'

/** Phases by the start of web-llm's report texts. All other reports are about the download. */
const phases = [
  { begin: 'Loading model from cache', phase: 'load' },
  { begin: 'Loading GPU shader modules', phase: 'warm-up' },
  { begin: 'Finish loading', phase: 'warm-up' },
] as const satisfies readonly { begin: string; phase: LoadProgress['phase'] }[]

/**
 * Creates a function that turns web-llm's progress reports into `LoadProgress`. web-llm's progress restarts at 0 with each
 * step; `fraction` never decreases.
 */
export function createProgressReader(): (report: InitProgressReport) => LoadProgress {
  let fraction = 0
  return ({ progress, text }) => {
    const phase = phases.find(({ begin }) => text.startsWith(begin))?.phase ?? 'download'
    // web-llm divides by zero when there is nothing to download.
    const downloaded = phase === 'download' ? Math.min(Number.isFinite(progress) ? progress : 0, 1) : 1
    fraction = Math.max(fraction, downloaded)
    // web-llm reports whole MiB, for all weight files together.
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
