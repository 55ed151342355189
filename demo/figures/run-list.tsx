import type { ComponentChildren } from 'preact'
import { formatMs, formatNumber } from '../figure-format.js'
import { describeDevice } from './describe-device.js'
import { Figure } from './readouts.js'
import type { Run, RunOutcome } from './run.js'

interface RunListProps {
  readonly runs: readonly Run[]
  readonly selectedIds: readonly string[]
  readonly onSelect: (id: string, isSelected: boolean) => void
}

/** A table of runs with a checkbox for each. */
export function RunList({ runs, selectedIds, onSelect }: RunListProps) {
  return (
    <Scrollable label="All runs">
      <table class="run-list">
        <thead>
          <tr>
            <th scope="col">Prompt</th>
            <th scope="col">Started</th>
            <th scope="col">Model</th>
            <th scope="col">TTFT</th>
            <th scope="col">Decode speed</th>
            <th scope="col">Inter-token p99</th>
            <th scope="col">Tokens</th>
            <th scope="col">Outcome</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow
              key={run.id}
              run={run}
              isSelected={selectedIds.includes(run.id)}
              onSelect={(isSelected) => onSelect(run.id, isSelected)}
            />
          ))}
        </tbody>
      </table>
    </Scrollable>
  )
}

interface RunRowProps {
  readonly run: Run
  readonly isSelected: boolean
  readonly onSelect: (isSelected: boolean) => void
}

function RunRow({ run: { prompt, startedAt, model, figures, outcome }, isSelected, onSelect }: RunRowProps) {
  const { timeToFirstTokenMs, tokensPerSecond, interTokenP99Ms, tokens } = figures
  return (
    <tr>
      <th scope="row">
        <label>
          <input
            type="checkbox"
            checked={isSelected}
            onChange={({ currentTarget }) => onSelect(currentTarget.checked)}
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

function describeOutcome(outcome: RunOutcome): string {
  return outcome.kind === 'failed' ? outcome.code : outcome.finishReason
}

/** Lets content that is wider than its container scroll horizontally, by keyboard too. */
export function Scrollable({
  label,
  children,
}: {
  readonly label: string
  readonly children: ComponentChildren
}) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrollable region must be focusable
    <div class="scrollable" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  )
}
