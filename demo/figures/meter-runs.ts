import { signal, type ReadonlySignal } from '@preact/signals'
import type { TokenChunk } from 'rivulet'
import { recordRun, type LiveRun, type Run, type RunEnding, type RunModel } from './run.js'

/** Measures a page's runs and publishes the newest one, at most once per frame. */
export interface RunMeter {
  /** The current run, else the last one; undefined before the first. */
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Starts the clock; call it just before `generate`. It replaces the run in `live`. */
  start(prompt: string, model: RunModel): MeteredRun
  /** Sets `live` to undefined, for a new chat. */
  clear(): void
}

interface MeteredRun {
  /** Call it for each chunk as soon as it is read. */
  addChunk(chunk: Pick<TokenChunk, 'tokenCount'>): void
  /** Stops the clock. */
  finish(ending: RunEnding): Run
}

export function meterRuns(): RunMeter {
  const live = signal<LiveRun | undefined>(undefined)
  let frame = 0
  /** The number of the run in `live`. */
  let shownNumber = 0
  const show = (run: LiveRun | undefined) => {
    cancelAnimationFrame(frame)
    live.value = run
  }

  return {
    live,
    start(prompt, model) {
      const recorder = recordRun(prompt, model, performance.now())
      shownNumber += 1
      const runNumber = shownNumber
      const drawFrame = () => {
        show(recorder.read(performance.now()))
        frame = requestAnimationFrame(drawFrame)
      }
      drawFrame()
      return {
        addChunk: (chunk) => recorder.addChunk(chunk, performance.now()),
        finish(ending) {
          const run = recorder.finish(ending, performance.now())
          if (runNumber === shownNumber) show({ isRunning: false, ...run })
          return run
        },
      }
    },
    clear() {
      shownNumber += 1
      show(undefined)
    },
  }
}
