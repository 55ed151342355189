import type { FormattedFigure } from '../figure-format.js'
import { Explained } from './explained.js'
import { figureList, type FigureDescription } from './figure-list.js'
import type { RunFigures } from './run.js'

interface ReadoutsProps {
  readonly figures: RunFigures | undefined
  /** Show only the main figures. */
  readonly isShort?: boolean
}

/** A run's figures, each with an explanation. */
export function Readouts({ figures, isShort = false }: ReadoutsProps) {
  const shown: readonly FigureDescription[] = isShort ? figureList.filter(({ isMain }) => isMain) : figureList
  return (
    <dl class="readouts">
      {shown.map(({ name, testId, label, title, format, isMain }) => {
        const value = figures?.[name]
        return (
          <div key={name} class={isMain ? `readout ${testId}` : 'readout more'}>
            <dt>
              <Explained label={label} explanation={title} />
            </dt>
            <dd data-testid={testId} class={value === undefined ? 'empty' : undefined}>
              {value === undefined ? '–' : <Figure {...format(value)} />}
            </dd>
          </div>
        )
      })}
    </dl>
  )
}

export function Figure({ value, unit }: FormattedFigure) {
  return (
    <>
      {value}
      {unit && <span class="unit"> {unit}</span>}
    </>
  )
}
