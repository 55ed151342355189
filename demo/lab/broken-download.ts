import { signal, type ReadonlySignal } from '@preact/signals'
import { store, type LoadProgress } from 'rivulet'
import { createBreakableWorkers, startOnnxWorker } from './breakable-workers.js'
import { defaultSettings, toGenerateOptions } from './lab-settings.js'
import { describeFailure } from './lane.js'
import { loadLabEngine, locateLabModel } from './load-lab-engine.js'
import type { WorkerCounts } from './worker-faults.js'

export type DownloadState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading'; readonly progress: LoadProgress | undefined }
  /** The downloaded part is kept; the next attempt resumes there. */
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'done'; readonly totalBytes: number; readonly text: string }

type NetworkTotals = Pick<WorkerCounts, 'requests' | 'failedRequests' | 'receivedBytes'>

/** A download of the built-in model over a slow network that can be cut. */
export interface BrokenDownload {
  readonly state: ReadonlySignal<DownloadState>
  readonly isOffline: ReadonlySignal<boolean>
  /** Totals since the last call of `restart`. */
  readonly network: ReadonlySignal<NetworkTotals>
  /** Removes the model from the model store, then downloads it. */
  restart(): Promise<void>
  /** Downloads the missing part. */
  resume(): Promise<void>
  setOffline(isOffline: boolean): void
}

const bytesPerSecond = 400_000
const pollMs = 100
const noTraffic: NetworkTotals = { requests: 0, failedRequests: 0, receivedBytes: 0 }

export function createBrokenDownload(): BrokenDownload {
  const state = signal<DownloadState>({ kind: 'idle' })
  const isOffline = signal(false)
  const network = signal(noTraffic)
  const workers = createBreakableWorkers(startOnnxWorker)
  const url = String(locateLabModel(defaultSettings))
  /** The totals of all earlier workers. */
  let earlier = noTraffic

  const updateNetwork = () => workers.setNetwork({ url, bytesPerSecond, isOffline: isOffline.value })

  function updateTotals(): void {
    const { requests, failedRequests, receivedBytes } = workers.counts.value
    network.value = {
      requests: earlier.requests + requests,
      failedRequests: earlier.failedRequests + failedRequests,
      receivedBytes: earlier.receivedBytes + receivedBytes,
    }
  }

  async function resume(): Promise<void> {
    earlier = network.value
    state.value = { kind: 'loading', progress: undefined }
    updateNetwork()
    const polling = setInterval(() => {
      void workers.readCounts()
      updateTotals()
    }, pollMs)
    let totalBytes = 0
    try {
      const engine = await loadLabEngine(defaultSettings, {
        worker: workers.create,
        onProgress(progress) {
          totalBytes = Math.max(totalBytes, sumModelFiles(progress))
          state.value = { kind: 'loading', progress }
        },
      })
      const text = await engine
        .generate('Hello!', { ...toGenerateOptions(defaultSettings), maxTokens: 16 })
        .text()
      await workers.readCounts()
      updateTotals()
      await engine.dispose()
      state.value = { kind: 'done', totalBytes, text }
    } catch (error) {
      state.value = { kind: 'failed', message: describeFailure(error) }
    } finally {
      clearInterval(polling)
    }
  }

  return {
    state,
    isOffline,
    network,
    async restart() {
      state.value = { kind: 'loading', progress: undefined }
      network.value = noTraffic
      await store.remove(url)
      await resume()
    },
    resume,
    setOffline(next) {
      isOffline.value = next
      updateNetwork()
    },
  }
}

/** Returns the size of the model's files, without the runtime's. */
function sumModelFiles({ files }: LoadProgress): number {
  return files.filter(({ path }) => !path.endsWith('.wasm')).reduce((sum, file) => sum + file.totalBytes, 0)
}
