import { figureList, type FigureDescription } from './figure-list.js'
import type { Run, RunFigures } from './run.js'

/** The values of one figure in two runs. */
export interface Comparison {
  readonly figure: FigureDescription
  readonly first: number | undefined
  readonly second: number | undefined
  /** `second / first`; undefined if either value is missing or the first is 0. */
  readonly ratio: number | undefined
  /** Undefined if the page shows the same value for both, or if neither low nor high is better for this figure. */
  readonly winner: 'first' | 'second' | undefined
}

/** Compares all figures of two runs, in the order of `figureList`. */
export function compareRuns(first: Run, second: Run): readonly Comparison[] {
  return figureList.map((figure) => compareFigure(figure, first.figures, second.figures))
}

function compareFigure(figure: FigureDescription, firstRun: RunFigures, secondRun: RunFigures): Comparison {
  const { [figure.name]: first } = firstRun
  const { [figure.name]: second } = secondRun
  const values = { figure, first, second, ratio: undefined, winner: undefined }
  if (first === undefined || second === undefined) return values
  const ratio = first === 0 ? undefined : second / first
  if (figure.better === undefined || showsSame(figure, first, second)) return { ...values, ratio }
  return { ...values, ratio, winner: first < second === (figure.better === 'lower') ? 'first' : 'second' }
}

function showsSame({ format }: FigureDescription, first: number, second: number): boolean {
  const [shown, otherShown] = [format(first), format(second)]
  return shown.value === otherShown.value && shown.unit === otherShown.unit
}
