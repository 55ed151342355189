import { signal, type ReadonlySignal } from '@preact/signals'
import type { BackendFactory, Devices, Engine, LoadProgress } from 'rivulet'
import { describeError, type DescribedError } from './describe-error.js'

/** How the page's engine is. */
export type LoadState =
  | { readonly kind: 'loading'; readonly progress: LoadProgress | undefined }
  | { readonly kind: 'ready'; readonly engine: Engine }
  | ({ readonly kind: 'failed' } & LoadFailure)

export interface LoadFailure extends DescribedError {
  readonly title: string
  /** What this browser has, where the failure is that it has too little. */
  readonly devices?: Devices | undefined
}

/** The page's engine: one at a time. */
export interface EngineLoader {
  readonly state: ReadonlySignal<LoadState>
  /**
   * Gives up what is loading, disposes of what was loaded, and loads anew.
   * @returns the engine, as a chat takes it: what supersedes this one rejects it
   */
  load(choose: () => Promise<readonly BackendFactory[]>): Promise<Engine>
  /** The engine does not work any more. */
  fail(failure: LoadFailure): void
}

export function createEngineLoader(): EngineLoader {
  const state = signal<LoadState>({ kind: 'loading', progress: undefined })
  let loading = new AbortController()

  function leave(): void {
    loading.abort()
    const left = state.peek()
    if (left.kind === 'ready') void left.engine.dispose()
  }

  async function load(choose: () => Promise<readonly BackendFactory[]>): Promise<Engine> {
    leave()
    const abort = new AbortController()
    loading = abort
    state.value = { kind: 'loading', progress: undefined }
    try {
      const backend = await choose()
      const { startEngine } = await import('./start-engine.js')
      const engine = await startEngine({
        backend,
        onProgress: (progress) => (state.value = { kind: 'loading', progress }),
        signal: abort.signal,
      })
      if (abort.signal.aborted) void engine.dispose()
      abort.signal.throwIfAborted()
      state.value = { kind: 'ready', engine }
      return engine
    } catch (error) {
      void showFailure(error, abort.signal)
      throw error
    }
  }

  async function showFailure(error: unknown, superseded: AbortSignal): Promise<void> {
    const described = describeError(error)
    const isTooLittle = described.code === 'backend-unavailable'
    const devices = isTooLittle ? await (await import('./start-engine.js')).readDevices() : undefined
    if (superseded.aborted) return
    const title = isTooLittle ? 'This browser cannot run the model' : 'The model could not be loaded'
    state.value = { kind: 'failed', title, ...described, devices }
  }

  return {
    state,
    load,
    fail(failure) {
      leave()
      state.value = { kind: 'failed', ...failure }
    },
  }
}
