import { signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { RivuletError, type Engine, type TokenStream } from 'rivulet'
import { meterRuns } from '../figures/meter-runs.js'
import type { LiveRun, Run } from '../figures/run.js'
import { defaultSettings, canShareEngine, toGenerateOptions, type LabSettings } from './lab-settings.js'
import { loadLabEngine } from './load-lab-engine.js'

export type LaneState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading'; readonly fraction: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'streaming' }
  | { readonly kind: 'done'; readonly run: Run }
  | { readonly kind: 'failed'; readonly message: string }

/** One side of a race: its settings, its engine and the generated text. */
export interface Lane {
  readonly name: string
  readonly settings: Signal<LabSettings>
  readonly state: ReadonlySignal<LaneState>
  readonly text: ReadonlySignal<string>
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Loads the engine for the current settings. @returns whether that succeeded; if not, `state` contains the reason */
  load(): Promise<boolean>
  /**
   * Streams an answer; call `load` first. Never rejects.
   * @returns undefined if the library refused the settings; `state` contains the reason
   */
  stream(prompt: string): Promise<Run | undefined>
  stop(): void
}

export function createLane(name: string, initial: Partial<LabSettings>): Lane {
  const settings = signal<LabSettings>({ ...defaultSettings, ...initial })
  const state = signal<LaneState>({ kind: 'idle' })
  const text = signal('')
  const meter = meterRuns((run) => (state.value = { kind: 'done', run }))
  let loaded: { readonly engine: Engine; readonly settings: LabSettings } | undefined
  let running: TokenStream | undefined

  async function load(): Promise<boolean> {
    const newSettings = settings.value
    text.value = ''
    meter.clear()
    if (!loaded || !canShareEngine(loaded.settings, newSettings)) {
      state.value = { kind: 'loading', fraction: 0 }
      await loaded?.engine.dispose()
      loaded = undefined
      try {
        const onProgress = ({ fraction }: { readonly fraction: number }) =>
          (state.value = { kind: 'loading', fraction })
        const engine = await loadLabEngine(newSettings, { onProgress, observer: meter })
        loaded = { engine, settings: newSettings }
      } catch (error) {
        state.value = { kind: 'failed', message: describeFailure(error) }
        return false
      }
    }
    state.value = { kind: 'ready' }
    return true
  }

  async function read(engine: Engine, prompt: string): Promise<void> {
    running = engine.generate(prompt, toGenerateOptions(settings.value))
    for await (const chunk of running) text.value += chunk.text
  }

  return {
    name,
    settings,
    state,
    text,
    live: meter.live,
    load,
    async stream(prompt) {
      const { engine } = loaded!
      state.value = { kind: 'streaming' }
      try {
        await read(engine, prompt)
      } catch (error) {
        // A generation that started has ended as a run, which contains the error's code.
        if (state.peek().kind === 'streaming')
          state.value = { kind: 'failed', message: describeFailure(error) }
      }
      const ended = state.peek()
      return ended.kind === 'done' ? ended.run : undefined
    },
    stop: () => void running?.cancel().catch(() => {}),
  }
}

/** Returns the error's message, followed by its code if it has one. */
export function describeFailure(error: unknown): string {
  return error instanceof RivuletError ? `${error.message} (${error.code})` : String(error)
}
