import { signal, type ReadonlySignal } from '@preact/signals'
import type { CountsMessage, Line, WorkerCounts, WorkerOrder } from './worker-faults.js'

/** The workers that one engine starts, one after another; the newest can be broken behind the library's back. */
export interface BreakableWorkers {
  /** For `onnx({ worker })` and `llamaCpp({ worker })`. */
  create(): Worker
  /** Ends the newest without a word to the library, as a crash does. */
  kill(): void
  /** Destroys the newest's GPU devices, which is what it sees of a lost GPU. */
  loseDevice(): void
  /** From now on, and for each worker that starts. */
  setLine(line: Line): void
  /** Asks the newest for its counts; they come when it has a moment. */
  askCounts(): void
  /** What the newest answered last. */
  readonly counts: ReadonlySignal<WorkerCounts>
}

const noCounts: WorkerCounts = {
  sentChunks: 0,
  credits: 0,
  gpuDevices: 0,
  requests: 0,
  failedRequests: 0,
  receivedBytes: 0,
}

/** @param start makes a worker whose script calls `beBreakable` */
export function createBreakableWorkers(start: () => Worker): BreakableWorkers {
  const counts = signal(noCounts)
  let newest: Worker | undefined
  let line: Line | undefined
  const tell = (order: WorkerOrder) => newest?.postMessage(order, [])

  return {
    counts,
    create() {
      const worker = start()
      newest = worker
      counts.value = noCounts
      worker.addEventListener('message', ({ data }: MessageEvent<Partial<CountsMessage>>) => {
        if (data.counts && worker === newest) counts.value = data.counts
      })
      if (line) tell({ order: 'set the line', line })
      return worker
    },
    kill: () => newest?.terminate(),
    loseDevice: () => tell({ order: 'lose the device' }),
    setLine(next) {
      line = next
      tell({ order: 'set the line', line })
    },
    askCounts: () => tell({ order: 'count' }),
  }
}

export const startOnnxWorker = () =>
  new Worker(new URL('./onnx.worker.ts', import.meta.url), { type: 'module', name: 'rivulet-lab-onnx' })

export const startLlamaCppWorker = () =>
  new Worker(new URL('./llama-cpp.worker.ts', import.meta.url), {
    type: 'module',
    name: 'rivulet-lab-llama-cpp',
  })
