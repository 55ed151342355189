// Page and Node: what a measurement comes to, one row of the table each.
import { findMedian } from './subject.js'

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  /** Between which the median lies at 95 %, by order statistics; undefined with fewer than 6 rounds, too few to say. */
  readonly confidence: readonly [low: number, high: number] | undefined
}

/** What has to hold of a row's `value`, or of its `ratio`. */
export interface Bound {
  readonly of: 'value' | 'ratio'
  readonly kind: 'at most' | 'at least'
  readonly limit: number
}

export interface Row {
  readonly section: string
  readonly model: string
  /** Tokens before the first that is measured. */
  readonly context: number | undefined
  readonly quantity: string
  readonly unit: string
  /** rivulet's, over all rounds. */
  readonly value: Spread
  readonly baseline: { readonly name: string; readonly value: Spread } | undefined
  /** Value to baseline within each round. */
  readonly ratio: Spread | undefined
  readonly bound: Bound | undefined
  readonly isHeld: boolean | undefined
}

/** A row's figures, round by round. */
export interface Measured extends Pick<Row, 'section' | 'model' | 'quantity' | 'unit'> {
  readonly context?: number
  readonly values: readonly number[]
  readonly baseline?: { readonly name: string; readonly values: readonly number[] }
  readonly bound?: Bound | undefined
}

export function createRow({ values, baseline, bound, context, ...names }: Measured): Row {
  const value = measureSpread(values)
  const ratio = baseline && measureSpread(values.map((each, round) => divide(each, baseline.values[round]!)))
  return {
    ...names,
    context,
    value,
    baseline: baseline && { name: baseline.name, value: measureSpread(baseline.values) },
    ratio,
    bound,
    isHeld: bound && isHeld(bound, bound.of === 'ratio' ? ratio : value),
  }
}

function isHeld({ kind, limit }: Bound, spread: Spread | undefined): boolean {
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

/** How many of the values lie below the median is binomial, here as its normal approximation. */
function measureConfidence(sorted: readonly number[]): Spread['confidence'] {
  const rank = Math.floor((sorted.length - 1 - 1.96 * Math.sqrt(sorted.length)) / 2)
  return rank < 0 ? undefined : [sorted[rank]!, sorted.at(-1 - rank)!]
}

/** Nothing to nothing is as much. */
function divide(value: number, baseline: number): number {
  return value === 0 && baseline === 0 ? 1 : value / baseline
}
