import type { Run } from './run.js'

/**
 * The file that "Export as JSON" writes. `version` increases when a field is removed or changes its meaning, not when a
 * field is added. Times and gaps are in milliseconds; `startedAt` is milliseconds since 1970. Unknown figures are omitted.
 */
export interface RunExport {
  readonly format: 'rivulet-runs'
  readonly version: 1
  /** ISO 8601. */
  readonly exportedAt: string
  /** All runs, newest first, or the selected runs in the order of selection. */
  readonly runs: readonly Run[]
}

export function createRunExport(runs: readonly Run[], now: Date): RunExport {
  return { format: 'rivulet-runs', version: 1, exportedAt: now.toISOString(), runs }
}

/** Downloads the runs as a JSON file. */
export function downloadRuns(runs: readonly Run[]): void {
  const exported = createRunExport(runs, new Date())
  const text = JSON.stringify(exported, undefined, 1) + '\n'
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `rivulet-runs-${exported.exportedAt.slice(0, 10)}.json`
  link.click()
  // The download has started by then.
  setTimeout(() => URL.revokeObjectURL(url))
}
