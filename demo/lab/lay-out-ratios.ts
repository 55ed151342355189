import type { BenchRow, Spread } from './bench-results.js'

/** Positions of a row's ratio on the scale, from 0 to 1. */
interface RatioMarks {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly limit: number | undefined
}

/** A logarithmic scale: ratios of 0.5 and 2 are equally far from 1. */
export interface RatioScale {
  /** The position of ratio 1. */
  readonly one: number
  place(row: RatioRow): RatioMarks
}

export type RatioRow = Pick<BenchRow, 'bound'> & { readonly ratio: Spread }

/** Ratios above this, or below its inverse, are drawn at the ends of the scale. */
const maxRatio = 100

/** @param rows the rows that share the scale */
export function layOutRatios(rows: readonly RatioRow[]): RatioScale {
  const all = rows.flatMap(({ ratio, bound }) => [ratio.min, ratio.max, findLimit(bound) ?? 1])
  const isDrawn = (ratio: number) => ratio >= 1 / maxRatio && ratio <= maxRatio
  const drawn = all.filter(isDrawn)
  const low = Math.log(Math.min(0.5, ...drawn))
  const high = Math.log(Math.max(2, ...drawn))
  const find = (ratio: number) => {
    const position = (Math.log(ratio) - low) / (high - low)
    return Math.min(1, Math.max(0, position))
  }
  return {
    one: find(1),
    place({ ratio, bound }) {
      const limit = findLimit(bound)
      return {
        median: find(ratio.median),
        min: find(ratio.min),
        max: find(ratio.max),
        limit: limit === undefined ? undefined : find(limit),
      }
    },
  }
}

function findLimit(bound: BenchRow['bound']): number | undefined {
  return bound?.of === 'ratio' ? bound.limit : undefined
}
