import type { BenchRow } from './bench-results.js'

/** One quantity over the length of the context. */
export interface ContextLines {
  /** `wasm, bench-135m: a token` */
  readonly title: string
  readonly unit: string
  readonly baselineName: string | undefined
  /** Ascending. */
  readonly contexts: readonly number[]
  readonly values: readonly number[]
  readonly baselines: readonly (number | undefined)[]
}

/** The quantities that were measured with more than one length of context. */
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
