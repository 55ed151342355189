import { useSignal, type ReadonlySignal } from '@preact/signals'
import { GapChart } from './gap-chart.js'
import { Readouts } from './readouts.js'
import type { LiveRun, Run } from './run.js'
import { RunComparison } from './run-comparison.js'
import { downloadRuns } from './run-export.js'
import { RunList } from './run-list.js'
import { Waterfall } from './waterfall.js'
import './runs.css'

export interface RunsPanelProps {
  readonly live: ReadonlySignal<LiveRun | undefined>
  readonly runs: ReadonlySignal<readonly Run[]>
  readonly onClear: () => void
}

/** The current run, details of one run or a comparison of two, the list of all runs, and the JSON export. */
export function RunsPanel({ live, runs, onClear }: RunsPanelProps) {
  return (
    <div class="runs-panel">
      <LiveChart live={live} />
      <Runs runs={runs.value} onClear={onClear} />
    </div>
  )
}

function LiveChart({ live: { value: live } }: Pick<RunsPanelProps, 'live'>) {
  if (!live?.isRunning) return null
  return (
    <section>
      <h3>Current run</h3>
      <GapChart run={live} />
    </section>
  )
}

/** With two selected runs, the second is compared to the first. */
const maxSelected = 2

function Runs({ runs, onClear }: { readonly runs: readonly Run[]; readonly onClear: () => void }) {
  const selectedIds = useSignal<readonly string[]>([])
  const selected = selectedIds.value.flatMap((id) => runs.find((run) => run.id === id) ?? [])
  const [first = runs[0], second] = selected

  function select(id: string, isSelected: boolean): void {
    const others = selectedIds.value.filter((other) => other !== id)
    selectedIds.value = isSelected ? [...others, id].slice(-maxSelected) : others
  }

  if (!first) return <p class="none-yet">No runs yet. Each answer is recorded as a run.</p>
  return (
    <>
      <section aria-label="Selected runs">
        {second ? <RunComparison first={first} second={second} /> : <RunDetails run={first} />}
      </section>
      <section>
        <h3>All runs</h3>
        <p class="form-note">
          The newest 200 runs are stored in this browser only. Select one to see its details, or two to
          compare them.
        </p>
        <RunList runs={runs} selectedIds={selectedIds.value} onSelect={select} />
        <div class="run-actions">
          <button
            type="button"
            class="primary"
            onClick={() => downloadRuns(selected.length > 0 ? selected : runs)}
          >
            {selected.length > 0 ? 'Export selected as JSON' : 'Export all as JSON'}
          </button>
          <button type="button" class="quiet" onClick={onClear}>
            Delete all runs
          </button>
        </div>
      </section>
    </>
  )
}

function RunDetails({ run }: { readonly run: Run }) {
  return (
    <>
      <h3 class="run-prompt">{run.prompt}</h3>
      <Readouts figures={run.figures} />
      <Waterfall run={run} />
      <h4>Gaps between tokens</h4>
      <GapChart run={run} />
    </>
  )
}
