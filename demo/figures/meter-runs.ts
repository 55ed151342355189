import { signal, type ReadonlySignal } from '@preact/signals'
import type { EngineObserver, ObservedPrefill, Prompt } from 'rivulet'
import { describeModel, recordRun, type LiveRun, type Run, type RunRecorder } from './run.js'

/** Measures the generations of an engine: pass it as `createEngine({ observer })`. */
export interface RunMeter extends Required<
  Pick<EngineObserver, 'onStart' | 'onPrefill' | 'onChunk' | 'onEnd'>
> {
  /** The current run, else the last one; undefined before the first. Changes at most once per frame. */
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** How much of the current prompt is computed; undefined if nothing is known, and after the first token. */
  readonly prefill: ReadonlySignal<Omit<ObservedPrefill, 'generation'> | undefined>
  /** Sets `live` to undefined, for a new chat. */
  clear(): void
}

/** @param onRun called with each run when its generation has ended */
export function meterRuns(onRun: (run: Run) => void): RunMeter {
  const live = signal<LiveRun | undefined>(undefined)
  const prefill = signal<ObservedPrefill | undefined>(undefined)
  const recorders = new Map<number, RunRecorder>()
  let frame = 0
  /** The generation of the run in `live`. */
  let shownGeneration: number | undefined
  const show = (run: LiveRun | undefined) => {
    cancelAnimationFrame(frame)
    live.value = run
  }

  return {
    live,
    prefill,
    onPrefill(progress) {
      if (progress.generation === shownGeneration) prefill.value = progress
    },
    onStart({ generation, prompt, info, startedAt }) {
      const recorder = recordRun(findQuestion(prompt), describeModel(info), startedAt)
      recorders.set(generation, recorder)
      shownGeneration = generation
      prefill.value = undefined
      const drawFrame = () => {
        show(recorder.read(performance.now()))
        frame = requestAnimationFrame(drawFrame)
      }
      drawFrame()
    },
    onChunk(observed) {
      if (observed.generation === shownGeneration) prefill.value = undefined
      recorders.get(observed.generation)?.addChunk(observed)
    },
    onEnd({ generation, outcome }) {
      const run = recorders.get(generation)?.finish(outcome)
      if (!run) return
      recorders.delete(generation)
      if (generation === shownGeneration) prefill.value = undefined
      if (generation === shownGeneration) show({ isRunning: false, ...run })
      onRun(run)
    },
    clear() {
      shownGeneration = undefined
      show(undefined)
    },
  }
}

function findQuestion(prompt: Prompt): string {
  if (typeof prompt === 'string') return prompt
  const content = prompt.findLast(({ role }) => role === 'user')?.content ?? ''
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('')
}
