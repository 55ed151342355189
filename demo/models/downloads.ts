import { signal, type ReadonlySignal } from '@preact/signals'
import { RivuletError, type ErrorCode, type LoadProgress } from 'rivulet'
import type { ModelChoice } from '../model-choice.js'
import { downloadModel } from './download-model.js'

/** A running or failed download. The model store knows what is stored. */
export type Download =
  | { readonly kind: 'running'; readonly progress: LoadProgress | undefined; readonly abort: AbortController }
  | { readonly kind: 'failed'; readonly message: string; readonly code: ErrorCode | undefined }

export interface Downloads {
  /** By the entry's id. */
  readonly current: ReadonlySignal<ReadonlyMap<string, Download>>
  /** Starts a download, or resumes a paused one. */
  start(id: string, choice: ModelChoice): Promise<void>
  /** Stops the download and keeps the stored part. */
  pause(id: string): void
}

/** @param onEnd called when a download completes, fails or is paused */
export function createDownloads(
  onEnd: (id: string, outcome: 'complete' | 'paused' | 'failed') => void,
): Downloads {
  const current = signal<ReadonlyMap<string, Download>>(new Map())

  function set(id: string, download: Download | undefined): void {
    const next = new Map(current.value)
    if (download) next.set(id, download)
    else next.delete(id)
    current.value = next
  }

  return {
    current,
    async start(id, choice) {
      if (current.value.get(id)?.kind === 'running') return
      const abort = new AbortController()
      set(id, { kind: 'running', progress: undefined, abort })
      try {
        await downloadModel(choice, {
          signal: abort.signal,
          onProgress: (progress) => set(id, { kind: 'running', progress, abort }),
        })
        set(id, undefined)
        onEnd(id, 'complete')
      } catch (error) {
        set(id, abort.signal.aborted ? undefined : describeFailure(error))
        onEnd(id, abort.signal.aborted ? 'paused' : 'failed')
      }
    },
    pause(id) {
      const download = current.value.get(id)
      if (download?.kind === 'running') download.abort.abort()
    },
  }
}

function describeFailure(error: unknown): Download {
  const code = error instanceof RivuletError ? error.code : undefined
  return { kind: 'failed', message: error instanceof Error ? error.message : String(error), code }
}
