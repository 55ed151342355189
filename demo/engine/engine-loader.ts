import { signal, type ReadonlySignal } from '@preact/signals'
import type { BackendFactory, Devices, Engine, EngineObserver, LoadProgress } from 'rivulet'
import { describeError, type DescribedError } from './describe-error.js'

/** The state of the page's engine. */
export type LoadState =
  | { readonly kind: 'loading'; readonly progress: LoadProgress | undefined }
  | { readonly kind: 'ready'; readonly engine: Engine }
  | ({ readonly kind: 'failed' } & LoadFailure)

export interface LoadFailure extends DescribedError {
  readonly title: string
  /** What this browser can compute on, if the error is `backend-unavailable`. */
  readonly devices?: Devices | undefined
}

/** Loads the page's engine, one at a time. */
export interface EngineLoader {
  readonly state: ReadonlySignal<LoadState>
  /** How many other tabs use the loaded model. */
  readonly otherTabs: ReadonlySignal<number>
  /**
   * Aborts the current load, disposes the current engine, and loads a new one.
   * @returns the engine; rejects if a later call replaces this load
   */
  load(choose: () => Promise<readonly BackendFactory[]>): Promise<Engine>
  /** Disposes the engine and shows why it stopped working. */
  fail(failure: LoadFailure): void
}

/** @param observer observes every engine */
export function createEngineLoader(observer: EngineObserver): EngineLoader {
  const state = signal<LoadState>({ kind: 'loading', progress: undefined })
  const otherTabs = signal(0)
  let loading = new AbortController()

  function disposeCurrent(): void {
    loading.abort()
    const current = state.peek()
    if (current.kind === 'ready') void current.engine.dispose()
  }

  async function load(choose: () => Promise<readonly BackendFactory[]>): Promise<Engine> {
    disposeCurrent()
    const abort = new AbortController()
    loading = abort
    state.value = { kind: 'loading', progress: undefined }
    otherTabs.value = 0
    try {
      const backend = await choose()
      const { startEngine } = await import('./start-engine.js')
      const show = (engine: Engine) => {
        if (!abort.signal.aborted && state.peek().kind !== 'ready') state.value = { kind: 'ready', engine }
      }
      const starting: Promise<Engine> = startEngine({
        backend,
        // All tabs of the demo use one model. The old model leaves the memory before a new one is loaded.
        host: { kind: 'shared', lingerMs: 0 },
        onProgress: (progress) => (state.value = { kind: 'loading', progress }),
        signal: abort.signal,
        // After a loss, the library loads the model again, and reports its progress again.
        observer: [
          observer,
          {
            onLoad: () => void starting.then(show, () => {}),
            onShare({ engines }) {
              if (!abort.signal.aborted) otherTabs.value = engines - 1
            },
          },
        ],
      })
      const engine = await starting
      if (abort.signal.aborted) void engine.dispose()
      abort.signal.throwIfAborted()
      show(engine)
      return engine
    } catch (error) {
      void showFailure(error, abort.signal)
      throw error
    }
  }

  async function showFailure(error: unknown, superseded: AbortSignal): Promise<void> {
    const described = describeError(error)
    const isUnavailable = described.code === 'backend-unavailable'
    const devices = isUnavailable ? await (await import('./start-engine.js')).readDevices() : undefined
    if (superseded.aborted) return
    state.value = { kind: 'failed', title: 'The model could not be loaded', ...described, devices }
  }

  return {
    state,
    otherTabs,
    load,
    fail(failure) {
      disposeCurrent()
      state.value = { kind: 'failed', ...failure }
    },
  }
}
