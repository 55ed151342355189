import { signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { RivuletError, type Engine, type TokenStream } from 'rivulet'
import { meterRuns } from '../figures/meter-runs.js'
import { describeModel, type LiveRun, type Run, type RunEnding } from '../figures/run.js'
import { nameModel } from '../model-choice.js'
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
  /** Streams an answer; call `load` first. Never rejects. */
  stream(prompt: string): Promise<Run>
  stop(): void
}

export function createLane(name: string, initial: Partial<LabSettings>): Lane {
  const settings = signal<LabSettings>({ ...defaultSettings, ...initial })
  const state = signal<LaneState>({ kind: 'idle' })
  const text = signal('')
  const meter = meterRuns()
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
        loaded = { engine: await loadLabEngine(newSettings, { onProgress }), settings: newSettings }
      } catch (error) {
        state.value = { kind: 'failed', message: describeFailure(error) }
        return false
      }
    }
    state.value = { kind: 'ready' }
    return true
  }

  async function read(
    engine: Engine,
    prompt: string,
    onChunk: (chunk: { text: string; tokenCount: number }) => void,
  ) {
    running = engine.generate(prompt, toGenerateOptions(settings.value))
    for await (const chunk of running) onChunk(chunk)
    return running.result
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
      const metered = meter.start(prompt, describeModel(engine.info, nameModel(engine.info.model)))
      let ending: RunEnding
      try {
        const result = await read(engine, prompt, (chunk) => {
          metered.addChunk(chunk)
          text.value += chunk.text
        })
        ending = { kind: 'finished', result }
      } catch (error) {
        ending = { kind: 'failed', code: readCode(error) }
      }
      const run = metered.finish(ending)
      state.value = { kind: 'done', run }
      return run
    },
    stop: () => void running?.cancel(),
  }
}

/** Returns the error's message, followed by its code if it has one. */
export function describeFailure(error: unknown): string {
  return error instanceof RivuletError ? `${error.message} (${error.code})` : String(error)
}

function readCode(error: unknown): string {
  return error instanceof RivuletError ? error.code : String(error)
}
