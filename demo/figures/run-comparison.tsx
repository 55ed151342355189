import { compareRuns, type Comparison } from './compare-runs.js'
import { describeDevice } from './describe-device.js'
import { Figure } from './readouts.js'
import type { Run } from './run.js'
import { Scrollable } from './run-list.js'

interface RunComparisonProps {
  readonly first: Run
  readonly second: Run
}

/** A table of two runs' figures with the ratio of the second to the first. */
export function RunComparison({ first, second }: RunComparisonProps) {
  return (
    <Scrollable label="Comparison">
      <table class="comparison">
        <caption>Two runs compared</caption>
        <thead>
          <tr>
            <th scope="col">Figure</th>
            <RunHeading run={first} />
            <RunHeading run={second} />
            <th scope="col">Ratio</th>
          </tr>
        </thead>
        <tbody>
          {compareRuns(first, second).map((comparison) => (
            <ComparisonRow key={comparison.figure.name} {...comparison} />
          ))}
        </tbody>
      </table>
    </Scrollable>
  )
}

function RunHeading({ run: { prompt, model } }: { readonly run: Run }) {
  return (
    <th scope="col">
      {prompt}
      <span class="unit">{[model.name, model.backend, describeDevice(model)].join(' · ')}</span>
    </th>
  )
}

function ComparisonRow({ figure, first, second, ratio, winner }: Comparison) {
  return (
    <tr title={figure.title}>
      <th scope="row">{figure.label}</th>
      <td>
        <Compared figure={figure} value={first} isBetter={winner === 'first'} />
      </td>
      <td>
        <Compared figure={figure} value={second} isBetter={winner === 'second'} />
      </td>
      <td>{ratio === undefined ? '–' : formatRatio(ratio)}</td>
    </tr>
  )
}

interface ComparedProps extends Pick<Comparison, 'figure'> {
  readonly value: number | undefined
  readonly isBetter: boolean
}

function Compared({ figure, value, isBetter }: ComparedProps) {
  if (value === undefined) return <>–</>
  return (
    <span class={isBetter ? 'better' : undefined}>
      <Figure {...figure.format(value)} />
      {isBetter && <span class="visually-hidden"> (better)</span>}
    </span>
  )
}

/** `1.42 ×` */
function formatRatio(ratio: number): string {
  return `${ratio < 9.995 ? ratio.toFixed(2) : ratio.toFixed(1)} ×`
}
