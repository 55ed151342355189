/** The part of `.cache/bench/results.json` (written by `npm run bench`) that the charts need. */
export interface BenchResults {
  /** ISO 8601. */
  readonly date: string
  readonly machine: string
  readonly rows: readonly BenchRow[]
}

/** A value over all rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface BenchRow {
  readonly section: string
  readonly model: string
  /** Tokens in the context before the first measured token. */
  readonly context: number | undefined
  readonly quantity: string
  readonly unit: string
  /** The value of rivulet. */
  readonly value: Spread
  readonly baseline: { readonly name: string; readonly value: Spread } | undefined
  /** `value / baseline`, computed within each round. */
  readonly ratio: Spread | undefined
  readonly bound:
    | { readonly of: 'value' | 'ratio'; readonly kind: 'at most' | 'at least'; readonly limit: number }
    | undefined
  /** Whether the bound is met. */
  readonly isMet: boolean | undefined
}

/**
 * Validates and reads the results file. The text can be any file's content.
 * @throws Error with a message for the user
 */
export function readBenchResults(text: string): BenchResults {
  const { date, machine, rows } = parseRecord(text)
  if (!Array.isArray(rows) || typeof date !== 'string' || !isRecord(machine)) {
    throw new Error('This file does not contain benchmark results: date, machine or rows is missing.')
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
    throw new Error('This file is not valid JSON.')
  }
  return isRecord(parsed) ? parsed : {}
}

function readRow(row: unknown, index: number): BenchRow {
  const fields = isRecord(row) ? row : {}
  const { section, model, context, quantity, unit, value, baseline, ratio, bound, isMet } = fields
  const hasNames = [section, model, quantity, unit].every((name) => typeof name === 'string')
  const isValid =
    hasNames &&
    isSpread(value) &&
    (baseline === undefined || (isRecord(baseline) && isSpread(baseline.value))) &&
    (ratio === undefined || isSpread(ratio)) &&
    (bound === undefined || (isRecord(bound) && typeof bound.limit === 'number'))
  if (!isValid) throw new Error(`Row ${index + 1} of this file is invalid.`)
  // The fields that the charts use are checked above.
  return { section, model, context, quantity, unit, value, baseline, ratio, bound, isMet } as BenchRow
}

/** An infinite or undefined ratio (baseline 0) is `null` in JSON and therefore invalid. */
function isSpread(value: unknown): value is Spread {
  return isRecord(value) && [value.median, value.min, value.max].every((each) => typeof each === 'number')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
