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

/** The run that goes on, all earlier ones, one of them in full or two side by side, and the way out as JSON. */
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
      <h3>Now</h3>
      <GapChart run={live} />
    </section>
  )
}

/** How many can be chosen: the second is compared to the first. */
const mostChosen = 2

function Runs({ runs, onClear }: { readonly runs: readonly Run[]; readonly onClear: () => void }) {
  const chosenIds = useSignal<readonly string[]>([])
  const chosen = chosenIds.value.flatMap((id) => runs.find((run) => run.id === id) ?? [])
  const [first = runs[0], second] = chosen

  function choose(id: string, isChosen: boolean): void {
    const others = chosenIds.value.filter((other) => other !== id)
    chosenIds.value = isChosen ? [...others, id].slice(-mostChosen) : others
  }

  if (!first) return <p class="none-yet">No runs yet: each answer becomes one.</p>
  return (
    <>
      <section aria-label="Chosen runs">
        {second ? <RunComparison first={first} second={second} /> : <RunDetails run={first} />}
      </section>
      <section>
        <h3>All runs</h3>
        <p class="form-note">
          Kept in this browser alone, the newest 200. Choose one to see it, or two to compare them.
        </p>
        <RunList runs={runs} chosenIds={chosenIds.value} onChoose={choose} />
        <div class="run-actions">
          <button
            type="button"
            class="primary"
            onClick={() => downloadRuns(chosen.length > 0 ? chosen : runs)}
          >
            {chosen.length > 0 ? 'Export the chosen as JSON' : 'Export all as JSON'}
          </button>
          <button type="button" class="quiet" onClick={onClear}>
            Forget all runs
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
