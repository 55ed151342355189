/** What `npm run bench` writes to `.cache/bench/results.json`, as far as the plots need it. */
export interface BenchResults {
  /** ISO 8601. */
  readonly date: string
  readonly machine: string
  readonly rows: readonly BenchRow[]
}

/** Over all rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface BenchRow {
  readonly section: string
  readonly model: string
  /** Tokens before the first that is measured. */
  readonly context: number | undefined
  readonly quantity: string
  readonly unit: string
  /** rivulet's. */
  readonly value: Spread
  readonly baseline: { readonly name: string; readonly value: Spread } | undefined
  /** Value to baseline within each round. */
  readonly ratio: Spread | undefined
  readonly bound:
    | { readonly of: 'value' | 'ratio'; readonly kind: 'at most' | 'at least'; readonly limit: number }
    | undefined
  readonly isHeld: boolean | undefined
}

/**
 * Reads a file that may be anything.
 * @throws Error with a sentence for whoever chose it
 */
export function readBenchResults(text: string): BenchResults {
  const { date, machine, rows } = parseRecord(text)
  if (!Array.isArray(rows) || typeof date !== 'string' || !isRecord(machine)) {
    throw new Error('This is no result of the benchmark: it has no date, machine and rows.')
  }
  const { processor, cores, adapter } = machine
  return {
    date,
    machine: `${String(processor)}, ${String(cores)} cores; ${String(adapter)}`,
    rows: rows.map(readRow),
  }
}

function parseRecord(text: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new Error('This file is not JSON.')
  }
  return isRecord(parsed) ? parsed : {}
}

function readRow(row: unknown, index: number): BenchRow {
  const given = isRecord(row) ? row : {}
  const { section, model, context, quantity, unit, value, baseline, ratio, bound, isHeld } = given
  const areNamed = [section, model, quantity, unit].every((name) => typeof name === 'string')
  const isWhole =
    areNamed &&
    isSpread(value) &&
    (baseline === undefined || (isRecord(baseline) && isSpread(baseline.value))) &&
    (ratio === undefined || isSpread(ratio)) &&
    (bound === undefined || (isRecord(bound) && typeof bound.limit === 'number'))
  if (!isWhole) throw new Error(`Row ${index + 1} of this file is not one of the benchmark’s.`)
  // Checked above, as far as the plots look at it.
  return { section, model, context, quantity, unit, value, baseline, ratio, bound, isHeld } as BenchRow
}

/** What is not a number is `null` in JSON: a ratio to nothing. */
function isSpread(value: unknown): value is Spread {
  return isRecord(value) && [value.median, value.min, value.max].every((each) => typeof each === 'number')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
