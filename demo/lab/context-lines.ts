import type { BenchRow } from './bench-results.js'

/** The values of one quantity at several context lengths. */
export interface ContextLines {
  /** Example: `wasm, bench-135m: time per token`. */
  readonly title: string
  readonly unit: string
  readonly baselineName: string | undefined
  /** Context lengths in tokens, ascending. */
  readonly contexts: readonly number[]
  readonly values: readonly number[]
  readonly baselines: readonly (number | undefined)[]
}

/** Returns the quantities that were measured at more than one context length. */
export function findContextLines(rows: readonly BenchRow[]): readonly ContextLines[] {
  const groups = new Map<string, BenchRow[]>()
  for (const row of rows) {
    if (row.context === undefined) continue
    const title = `${row.section}, ${row.model}: ${row.quantity}`
    groups.set(title, [...(groups.get(title) ?? []), row])
  }
  return [...groups].flatMap(([title, group]) => {
    if (group.length < 2) return []
    const sorted = group.toSorted((a, b) => a.context! - b.context!)
    return {
      title,
      unit: sorted[0]!.unit,
      baselineName: sorted[0]!.baseline?.name,
      contexts: sorted.map(({ context }) => context!),
      values: sorted.map(({ value }) => value.median),
      baselines: sorted.map(({ baseline }) => baseline?.value.median),
    }
  })
}
