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
  /** What has come is kept, and the next try goes on there. */
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'done'; readonly totalBytes: number; readonly text: string }

export type LineSums = Pick<WorkerCounts, 'requests' | 'failedRequests' | 'receivedBytes'>

/** A download of the built-in model over a slow line that can be cut. */
export interface BrokenDownload {
  readonly state: ReadonlySignal<DownloadState>
  readonly isDown: ReadonlySignal<boolean>
  /** Since the last download from nothing. */
  readonly line: ReadonlySignal<LineSums>
  /** Removes the model from this browser's store, then loads it. */
  startAnew(): Promise<void>
  /** Loads what is missing. */
  goOn(): Promise<void>
  setDown(isDown: boolean): void
}

const bytesPerSecond = 400_000
const pollMs = 100
const nothingSeen: LineSums = { requests: 0, failedRequests: 0, receivedBytes: 0 }

export function createBrokenDownload(): BrokenDownload {
  const state = signal<DownloadState>({ kind: 'idle' })
  const isDown = signal(false)
  const line = signal(nothingSeen)
  const workers = createBreakableWorkers(startOnnxWorker)
  const url = String(locateLabModel(defaultSettings))
  /** Of the workers before this one. */
  let before = nothingSeen

  const setLine = () => workers.setLine({ url, bytesPerSecond, isDown: isDown.value })

  function look(): void {
    const { requests, failedRequests, receivedBytes } = workers.counts.value
    line.value = {
      requests: before.requests + requests,
      failedRequests: before.failedRequests + failedRequests,
      receivedBytes: before.receivedBytes + receivedBytes,
    }
  }

  async function goOn(): Promise<void> {
    before = line.value
    state.value = { kind: 'loading', progress: undefined }
    setLine()
    const polling = setInterval(() => {
      workers.askCounts()
      look()
    }, pollMs)
    let totalBytes = 0
    try {
      const engine = await loadLabEngine(defaultSettings, {
        worker: workers.create,
        onProgress(progress) {
          totalBytes = Math.max(totalBytes, progress.totalBytes)
          state.value = { kind: 'loading', progress }
        },
      })
      const text = await engine
        .generate('Hello!', { ...toGenerateOptions(defaultSettings), maxTokens: 16 })
        .text()
      workers.askCounts()
      // The answer comes in a task of its own.
      await new Promise((resolve) => setTimeout(resolve, pollMs))
      look()
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
    isDown,
    line,
    async startAnew() {
      state.value = { kind: 'loading', progress: undefined }
      line.value = nothingSeen
      await store.remove(url)
      await goOn()
    },
    goOn,
    setDown(next) {
      isDown.value = next
      setLine()
    },
  }
}
