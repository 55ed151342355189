import { signal, type ReadonlySignal } from '@preact/signals'
import type { TokenChunk } from 'rivulet'
import { recordRun, type LiveRun, type Run, type RunEnding, type RunModel } from './run.js'

/** Measures the runs of a page, one at a time, and shows the newest at most once a frame. */
export interface RunMeter {
  /** The run that goes on, or the last one; undefined before the first. */
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Starts the clock, at the call of `generate`; a run that goes on is no longer shown. */
  start(prompt: string, model: RunModel): MeteredRun
  /** Shows none, as for a new chat. */
  clear(): void
}

export interface MeteredRun {
  /** For each chunk, as soon as it is read. */
  addChunk(chunk: Pick<TokenChunk, 'tokenCount'>): void
  /** Stops the clock. */
  finish(ending: RunEnding): Run
}

export function meterRuns(): RunMeter {
  const live = signal<LiveRun | undefined>(undefined)
  let frame = 0
  /** Of the run that is shown. */
  let shown = 0
  const show = (run: LiveRun | undefined) => {
    cancelAnimationFrame(frame)
    live.value = run
  }

  return {
    live,
    start(prompt, model) {
      const recorder = recordRun(prompt, model, performance.now())
      shown += 1
      const own = shown
      const drawFrame = () => {
        show(recorder.look(performance.now()))
        frame = requestAnimationFrame(drawFrame)
      }
      drawFrame()
      return {
        addChunk: (chunk) => recorder.addChunk(chunk, performance.now()),
        finish(ending) {
          const run = recorder.finish(ending, performance.now())
          if (own === shown) show({ isRunning: false, ...run })
          return run
        },
      }
    },
    clear() {
      shown += 1
      show(undefined)
    },
  }
}
