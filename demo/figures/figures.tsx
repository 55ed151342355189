import { useSignal, type ReadonlySignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { Dialog } from '../app/dialog.js'
import { watchMedia } from '../app/media.js'
import { formatNumber } from '../figure-format.js'
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
 * <Figures model={model} otherTabs={otherTabs} live={meter.live} runs={history.runs} onClear={history.clear} />
 * ```
 */
export interface FiguresProps {
  /** Undefined while no model is loaded. */
  readonly model: ReadonlySignal<RunModel | undefined>
  /** How many other tabs use the model. */
  readonly otherTabs: ReadonlySignal<number>
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Newest first. */
  readonly runs: ReadonlySignal<readonly Run[]>
  /** Deletes all runs. */
  readonly onClear: () => void
}

export function Figures({ model, otherTabs, live, runs: history, onClear }: FiguresProps) {
  const panel = useSignal<ComponentType<RunsPanelProps> | undefined>(undefined)
  const isOpen = useSignal(false)
  const Panel = panel.value

  async function open(): Promise<void> {
    isOpen.value = true
    const { RunsPanel } = await import('./runs-panel.js')
    panel.value = RunsPanel
  }

  const runs = (
    <>
      <button type="button" class="quiet open-runs" aria-haspopup="dialog" onClick={() => void open()}>
        Runs and charts
      </button>
      <Dialog isOpen={isOpen} title="Runs" class="runs">
        {Panel && <Panel live={live} runs={history} onClear={onClear} />}
      </Dialog>
    </>
  )
  if (isNarrow.value) {
    return (
      <details class="figure-line">
        <summary>
          <ModelName model={model} />
          <FigureLine live={live} />
        </summary>
        <ModelDevice model={model} otherTabs={otherTabs} />
        <LiveReadouts live={live} />
        {runs}
      </details>
    )
  }
  return (
    <>
      <p class="running">
        <ModelName model={model} />
        <ModelDevice model={model} otherTabs={otherTabs} />
      </p>
      <LiveReadouts live={live} />
      {runs}
    </>
  )
}

/** One line of a narrow page: there the figures are folded. */
const isNarrow = watchMedia('(width < 30rem)')

function ModelName({ model: { value: model } }: Pick<FiguresProps, 'model'>) {
  return (
    <span class="model" data-testid="model">
      {model ? [model.name, model.dtype].filter(Boolean).join(' · ') : 'No model loaded'}
    </span>
  )
}

function ModelDevice({ model: { value: model }, otherTabs }: Pick<FiguresProps, 'model' | 'otherTabs'>) {
  return (
    <span class="device" data-testid="device">
      {model && describeDevice(model, otherTabs.value)}
    </span>
  )
}

/** The speed of the current or last answer, in a few words. Before the first answer it shows nothing. */
function FigureLine({ live: { value: live } }: Pick<FiguresProps, 'live'>) {
  const { tokensPerSecond, tokens } = live?.figures ?? {}
  if (tokens === undefined) return null
  const speed =
    tokensPerSecond === undefined ? '' : ` · ${formatNumber(tokensPerSecond, 'tok/s').value} tok/s`
  return <span class="line-figures">{`${tokens} tokens${speed}`}</span>
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
