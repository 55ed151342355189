// For page and Node: the result of a measurement, one table row each.
import { findMedian } from './subject.js'

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  /** The 95 % confidence interval of the median, by order statistics; undefined with fewer than 6 rounds. */
  readonly confidence: readonly [low: number, high: number] | undefined
}

/** A limit that the median of a row's `value` or `ratio` must meet. */
export interface Bound {
  readonly of: 'value' | 'ratio'
  readonly kind: 'at most' | 'at least'
  readonly limit: number
}

export interface Row {
  readonly section: string
  readonly model: string
  /** Tokens in the context before the first measured token. */
  readonly context: number | undefined
  readonly quantity: string
  readonly unit: string
  /** The value of rivulet over all rounds. */
  readonly value: Spread
  readonly baseline: { readonly name: string; readonly value: Spread } | undefined
  /** `value / baseline`, computed within each round. */
  readonly ratio: Spread | undefined
  readonly bound: Bound | undefined
  /** Whether the bound is met. */
  readonly isMet: boolean | undefined
  /** Why there is no baseline, or what else a reader of the row must know. */
  readonly note: string | undefined
}

/** The measured values of a row, one per round. */
export interface Measured extends Pick<Row, 'section' | 'model' | 'quantity' | 'unit'> {
  readonly context?: number | undefined
  readonly values: readonly number[]
  readonly baseline?: { readonly name: string; readonly values: readonly number[] } | undefined
  readonly bound?: Bound | undefined
  readonly note?: string | undefined
}

export function createRow({ values, baseline, bound, context, note, ...names }: Measured): Row {
  const value = measureSpread(values)
  const ratio = baseline && measureSpread(values.map((each, round) => divide(each, baseline.values[round]!)))
  return {
    ...names,
    context,
    value,
    baseline: baseline && { name: baseline.name, value: measureSpread(baseline.values) },
    ratio,
    bound,
    isMet: bound && isMet(bound, bound.of === 'ratio' ? ratio : value),
    note,
  }
}

function isMet({ kind, limit }: Bound, spread: Spread | undefined): boolean {
  if (!spread) throw new Error('A bound on a ratio needs a baseline.')
  return kind === 'at most' ? spread.median <= limit : spread.median >= limit
}

function measureSpread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    median: findMedian(values),
    min: sorted[0]!,
    max: sorted.at(-1)!,
    confidence: measureConfidence(sorted),
  }
}

/** Uses the normal approximation of the binomial number of values below the median. */
function measureConfidence(sorted: readonly number[]): Spread['confidence'] {
  const rank = Math.floor((sorted.length - 1 - 1.96 * Math.sqrt(sorted.length)) / 2)
  return rank < 0 ? undefined : [sorted[rank]!, sorted.at(-1 - rank)!]
}

/** 0 / 0 counts as an equal amount: 1. */
function divide(value: number, baseline: number): number {
  return value === 0 && baseline === 0 ? 1 : value / baseline
}
