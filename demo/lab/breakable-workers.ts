import { signal, type ReadonlySignal } from '@preact/signals'
import type { CountsMessage, FaultCommand, NetworkCondition, WorkerCounts } from './worker-faults.js'

/** Creates the workers of one engine, one after another, and injects faults into the newest without notifying the library. */
export interface BreakableWorkers {
  /** Pass it as `onnx({ worker })` or `llamaCpp({ worker })`. */
  create(): Worker
  /** Terminates the newest worker. To the library it looks like a crash. */
  terminate(): void
  /** Destroys the GPU devices of the newest worker. To the library it looks like a lost GPU. */
  loseDevice(): void
  /** Sets the network condition of the newest worker and of all later ones. */
  setNetwork(network: NetworkCondition): void
  /** Requests the counts of the newest worker. Resolves when the worker is idle; never resolves if it was terminated. */
  readCounts(): Promise<WorkerCounts>
  /** The latest counts of the newest worker. */
  readonly counts: ReadonlySignal<WorkerCounts>
}

const noCounts: WorkerCounts = { gpuDevices: 0, requests: 0, failedRequests: 0, receivedBytes: 0 }

/** @param start creates a worker whose script calls `acceptFaults` */
export function createBreakableWorkers(start: () => Worker): BreakableWorkers {
  const counts = signal(noCounts)
  let newest: Worker | undefined
  const waiting: ((counts: WorkerCounts) => void)[] = []
  let network: NetworkCondition | undefined
  const send = (command: FaultCommand) => newest?.postMessage(command, [])

  return {
    counts,
    create() {
      const worker = start()
      newest = worker
      counts.value = noCounts
      worker.addEventListener('message', ({ data }: MessageEvent<Partial<CountsMessage>>) => {
        if (!data.counts || worker !== newest) return
        counts.value = data.counts
        for (const resolve of waiting.splice(0)) resolve(data.counts)
      })
      if (network) send({ kind: 'set-network', network })
      return worker
    },
    terminate: () => newest?.terminate(),
    loseDevice: () => send({ kind: 'lose-device' }),
    setNetwork(next) {
      network = next
      send({ kind: 'set-network', network })
    },
    readCounts() {
      send({ kind: 'read-counts' })
      return new Promise((resolve) => waiting.push(resolve))
    },
  }
}

export const startOnnxWorker = () =>
  new Worker(new URL('./onnx.worker.ts', import.meta.url), { type: 'module', name: 'rivulet-lab-onnx' })

export const startLlamaCppWorker = () =>
  new Worker(new URL('./llama-cpp.worker.ts', import.meta.url), {
    type: 'module',
    name: 'rivulet-lab-llama-cpp',
  })
