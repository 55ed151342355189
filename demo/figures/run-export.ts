import type { Run } from './run.js'

/**
 * What "Export as JSON" writes. `version` grows when a field changes its meaning or goes; new fields may come without
 * that. Times and gaps are in milliseconds, `startedAt` since 1970; a figure that there is none of is left out.
 */
export interface RunExport {
  readonly format: 'rivulet-runs'
  readonly version: 1
  /** ISO 8601. */
  readonly exportedAt: string
  /** Newest first, or in the order in which they were chosen. */
  readonly runs: readonly Run[]
}

export function createRunExport(runs: readonly Run[], now: Date): RunExport {
  return { format: 'rivulet-runs', version: 1, exportedAt: now.toISOString(), runs }
}

/** Hands the runs to the visitor as a file. */
export function downloadRuns(runs: readonly Run[]): void {
  const exported = createRunExport(runs, new Date())
  const text = JSON.stringify(exported, undefined, 1) + '\n'
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `rivulet-runs-${exported.exportedAt.slice(0, 10)}.json`
  link.click()
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(url))
}
