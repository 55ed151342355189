import { useSignal, type ReadonlySignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { Dialog } from '../app/dialog.js'
import { describeDevice } from './describe-device.js'
import { GapStrip } from './gap-strip.js'
import { Readouts } from './readouts.js'
import type { LiveRun, Run, RunModel } from './run.js'
import type { RunsPanelProps } from './runs-panel.js'

/**
 * The figures beside the chat: the loaded model, the readouts and latest gaps of the current or last run, and a dialog with
 * all runs. The dialog's code is loaded when it is opened.
 *
 * ```tsx
 * const history = openRunHistory() // run-history.ts
 * const meter = meterRuns((run) => void history.add(run)) // meter-runs.ts
 * const engine = await createEngine({ backend: onnx(), model: url, observer: meter })
 *
 * <Figures model={model} live={meter.live} runs={history.runs} onClear={history.clear} />
 * ```
 */
export interface FiguresProps {
  /** Undefined while no model is loaded. */
  readonly model: ReadonlySignal<RunModel | undefined>
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Newest first. */
  readonly runs: ReadonlySignal<readonly Run[]>
  /** Deletes all runs. */
  readonly onClear: () => void
}

export function Figures({ model, live, runs, onClear }: FiguresProps) {
  const panel = useSignal<ComponentType<RunsPanelProps> | undefined>(undefined)
  const isOpen = useSignal(false)
  const Panel = panel.value

  async function open(): Promise<void> {
    isOpen.value = true
    const { RunsPanel } = await import('./runs-panel.js')
    panel.value = RunsPanel
  }

  return (
    <>
      <RunningModel model={model} />
      <LiveReadouts live={live} />
      <button type="button" class="quiet open-runs" aria-haspopup="dialog" onClick={() => void open()}>
        Runs and charts
      </button>
      <Dialog isOpen={isOpen} title="Runs" class="runs">
        {Panel && <Panel live={live} runs={runs} onClear={onClear} />}
      </Dialog>
    </>
  )
}

function RunningModel({ model: { value: model } }: Pick<FiguresProps, 'model'>) {
  return (
    <p class="running">
      <span class="model" data-testid="model">
        {model ? [model.name, model.dtype].filter(Boolean).join(' · ') : 'No model loaded'}
      </span>
      <span class="device" data-testid="device">
        {model && describeDevice(model)}
      </span>
    </p>
  )
}

/** A separate component, so that only this part renders again on each frame. Before the first answer it shows nothing. */
function LiveReadouts({ live: { value: live } }: Pick<FiguresProps, 'live'>) {
  if (!live) return null
  return (
    <>
      <Readouts figures={live.figures} />
      <GapStrip gapsMs={live.gapsMs} />
    </>
  )
}
