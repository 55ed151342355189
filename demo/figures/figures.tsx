import { useSignal, type ReadonlySignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { describeDevice } from './describe-device.js'
import { GapStrip } from './gap-strip.js'
import { Readouts } from './readouts.js'
import type { LiveRun, Run, RunModel } from './run.js'
import type { RunsDialogProps } from './runs-dialog.js'

/**
 * The figures beside the chat: the loaded model, the readouts of the run that goes on or went last, its last gaps, and a
 * dialog with all runs, which is loaded when it is opened.
 *
 * ```tsx
 * const history = openRunHistory() // run-history.ts
 * const meter = meterRuns() // meter-runs.ts
 *
 * <Figures model={model} live={meter.live} runs={history.runs} onClear={history.clear} />
 *
 * const run = meter.start(question, describeModel(engine.info, name))
 * for await (const chunk of engine.generate(question)) run.addChunk(chunk)
 * void history.add(run.finish({ kind: 'finished', result: await stream.result }))
 * ```
 */
export interface FiguresProps {
  /** Undefined while none is loaded. */
  readonly model: ReadonlySignal<RunModel | undefined>
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Newest first. */
  readonly runs: ReadonlySignal<readonly Run[]>
  /** Forget all runs. */
  readonly onClear: () => void
}

export function Figures({ model, live, runs, onClear }: FiguresProps) {
  const dialog = useSignal<ComponentType<RunsDialogProps> | undefined>(undefined)
  const isOpen = useSignal(false)
  const Dialog = dialog.value

  async function open(): Promise<void> {
    dialog.value ??= (await import('./runs-dialog.js')).RunsDialog
    isOpen.value = true
  }

  return (
    <>
      <RunningModel model={model} />
      <LiveReadouts live={live} />
      <button type="button" class="quiet open-runs" aria-haspopup="dialog" onClick={() => void open()}>
        Runs and charts
      </button>
      {Dialog && isOpen.value && (
        <Dialog live={live} runs={runs} onClear={onClear} onClose={() => (isOpen.value = false)} />
      )}
    </>
  )
}

function RunningModel({ model: { value: model } }: Pick<FiguresProps, 'model'>) {
  return (
    <p class="running">
      <span class="model" data-testid="model">
        {model ? [model.name, model.dtype].filter(Boolean).join(' · ') : 'No model yet'}
      </span>
      <span class="device" data-testid="device">
        {model && describeDevice(model)}
      </span>
    </p>
  )
}

/** By itself: nothing else is drawn anew with every frame. */
function LiveReadouts({ live: { value: live } }: Pick<FiguresProps, 'live'>) {
  return (
    <>
      <Readouts figures={live?.figures} />
      <GapStrip gapsMs={live?.gapsMs ?? []} />
    </>
  )
}
