import type { ComponentChildren } from 'preact'
import { formatMs, formatNumber } from '../figure-format.js'
import { describeDevice } from './describe-device.js'
import { Figure } from './readouts.js'
import type { Run, RunOutcome } from './run.js'

interface RunListProps {
  readonly runs: readonly Run[]
  readonly chosenIds: readonly string[]
  readonly onChoose: (id: string, isChosen: boolean) => void
}

/** Runs as a table, to choose from. */
export function RunList({ runs, chosenIds, onChoose }: RunListProps) {
  return (
    <Scrollable label="All runs">
      <table class="run-list">
        <thead>
          <tr>
            <th scope="col">Prompt</th>
            <th scope="col">When</th>
            <th scope="col">Model</th>
            <th scope="col">First token</th>
            <th scope="col">Speed</th>
            <th scope="col">p99</th>
            <th scope="col">Tokens</th>
            <th scope="col">Ended</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow
              key={run.id}
              run={run}
              isChosen={chosenIds.includes(run.id)}
              onChoose={(isChosen) => onChoose(run.id, isChosen)}
            />
          ))}
        </tbody>
      </table>
    </Scrollable>
  )
}

interface RunRowProps {
  readonly run: Run
  readonly isChosen: boolean
  readonly onChoose: (isChosen: boolean) => void
}

function RunRow({ run: { prompt, startedAt, model, figures, outcome }, isChosen, onChoose }: RunRowProps) {
  const { timeToFirstTokenMs, tokensPerSecond, interTokenP99Ms, tokens } = figures
  return (
    <tr>
      <th scope="row">
        <label>
          <input
            type="checkbox"
            checked={isChosen}
            onChange={({ currentTarget }) => onChoose(currentTarget.checked)}
          />
          <span>{prompt}</span>
        </label>
      </th>
      <td>{new Date(startedAt).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })}</td>
      <td title={describeDevice(model)}>{[model.name, model.backend, model.device].join(' · ')}</td>
      <td>{timeToFirstTokenMs === undefined ? '–' : <Figure {...formatMs(timeToFirstTokenMs)} />}</td>
      <td>{tokensPerSecond === undefined ? '–' : <Figure {...formatNumber(tokensPerSecond, 'tok/s')} />}</td>
      <td>{interTokenP99Ms === undefined ? '–' : <Figure {...formatMs(interTokenP99Ms)} />}</td>
      <td>{tokens}</td>
      <td>{describeOutcome(outcome)}</td>
    </tr>
  )
}

export function describeOutcome(outcome: RunOutcome): string {
  return outcome.kind === 'failed' ? outcome.code : outcome.finishReason
}

/** What is wider than its place scrolls in itself, also by keyboard. */
export function Scrollable({
  label,
  children,
}: {
  readonly label: string
  readonly children: ComponentChildren
}) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls must take the focus
    <div class="scrollable" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  )
}
