import { figureList, type FigureDescription } from './figure-list.js'
import type { Run, RunFigures } from './run.js'

/** One figure of two runs. */
export interface Comparison {
  readonly figure: FigureDescription
  readonly first: number | undefined
  readonly second: number | undefined
  /** Second to first; undefined where one of them is missing, or the first is 0. */
  readonly ratio: number | undefined
  readonly winner: 'first' | 'second' | undefined
}

export function compareRuns(first: Run, second: Run): readonly Comparison[] {
  return figureList.map((figure) => compareFigure(figure, first.figures, second.figures))
}

function compareFigure(figure: FigureDescription, one: RunFigures, other: RunFigures): Comparison {
  const { [figure.name]: first } = one
  const { [figure.name]: second } = other
  const values = { figure, first, second, ratio: undefined, winner: undefined }
  if (first === undefined || second === undefined) return values
  const ratio = first === 0 ? undefined : second / first
  if (figure.better === undefined || first === second) return { ...values, ratio }
  return { ...values, ratio, winner: first < second === (figure.better === 'lower') ? 'first' : 'second' }
}
