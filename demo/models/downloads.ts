import { signal, type ReadonlySignal } from '@preact/signals'
import { RivuletError, type LoadProgress } from 'rivulet'
import type { ModelChoice } from '../model-choice.js'
import { downloadModel } from './download-model.js'

/** A download that runs, or that ended badly; what is stored is for the store to say. */
export type Download =
  | { readonly kind: 'running'; readonly progress: LoadProgress | undefined; readonly abort: AbortController }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }

export interface Downloads {
  /** By id. */
  readonly current: ReadonlySignal<ReadonlyMap<string, Download>>
  /** Also goes on with one that was paused. */
  start(id: string, choice: ModelChoice): Promise<void>
  /** What has come stays. */
  pause(id: string): void
}

/** @param onEnd called when a download is over, or paused */
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
