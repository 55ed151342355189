import type { LoadProgress } from '../../lib/contract/worker-api.js'
import type { InitProgress } from './runtime.js'

/** web-llm's words for what it does begin so. */
const phases = [
  { pattern: /^Loading GPU shader modules/, phase: 'warm-up' },
  { pattern: /^(Loading model from cache|Finish loading)/, phase: 'load' },
  { pattern: /^/, phase: 'download' },
] as const

/** Turns web-llm's progress, which begins anew with each thing that it does, into one that never falls. */
export function createProgressReader(): (progress: InitProgress) => LoadProgress {
  let fraction = 0
  return ({ progress, text }) => {
    const phase = phases.find(({ pattern }) => pattern.test(text))?.phase ?? 'download'
    fraction = Math.max(fraction, phase === 'download' ? progress || 0 : 1)
    // It tells whole MiB, of all files together.
    const loadedBytes = Number(/(\d+)MB (?:fetched|loaded)/.exec(text)?.[1] ?? 0) * 2 ** 20
    const totalBytes = progress > 0 && loadedBytes > 0 ? Math.round(loadedBytes / progress) : 0
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
