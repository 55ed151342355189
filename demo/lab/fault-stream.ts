import { batch, computed, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { Engine, EngineObserver, ObservedChunk, RivuletError, TokenStream } from 'rivulet'
import { formatMs } from '../figure-format.js'
import { meterRuns } from '../figures/meter-runs.js'
import type { LiveRun, Run } from '../figures/run.js'
import {
  createBreakableWorkers,
  startLlamaCppWorker,
  startOnnxWorker,
  type BreakableWorkers,
} from './breakable-workers.js'
import { defaultSettings, toGenerateOptions, type LabSettings } from './lab-settings.js'
import { describeFailure } from './lane.js'
import { loadLabEngine } from './load-lab-engine.js'
import { createReadPacer } from './read-pacer.js'

/** Chunks per second, by label. */
export const readingSpeeds = {
  'Full speed': undefined,
  '20 tokens/s': 20,
  'Slow: 1 token/s': 1,
} as const

/** Slow enough to click a button during the stream. */
const defaultSpeed = '20 tokens/s'

export type ReadingSpeed = keyof typeof readingSpeeds

export type FaultState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading' }
  /** The same answer without faults. */
  | { readonly kind: 'generating-reference' }
  | { readonly kind: 'streaming' }
  | {
      readonly kind: 'done'
      readonly run: Run
      readonly isIdentical: boolean
      readonly referenceText: string
    }
  | { readonly kind: 'failed'; readonly message: string }

/** How far the model was ahead of the page when the page read its latest chunk. */
interface ReaderFigures {
  readonly readChunks: number
  /** Chunks that had arrived but were not read yet. */
  readonly unreadChunks: number
  /** How long the chunk had waited since it arrived. */
  readonly waitMs: number
}

/** Generates a greedy answer twice: first a reference without faults, then a stream into which faults are injected. */
export interface FaultStream {
  readonly backend: Signal<LabSettings['backend']>
  readonly maxTokens: Signal<number>
  readonly readingSpeed: ReadonlySignal<ReadingSpeed>
  readonly state: ReadonlySignal<FaultState>
  readonly text: ReadonlySignal<string>
  readonly live: ReadonlySignal<LiveRun | undefined>
  readonly reader: ReadonlySignal<ReaderFigures>
  /** Sentences, in order of time. */
  readonly events: ReadonlySignal<readonly string[]>
  readonly canLoseDevice: ReadonlySignal<boolean>
  start(prompt: string): Promise<void>
  stop(): void
  setReadingSpeed(speed: ReadingSpeed): void
  terminateWorker(): void
  loseDevice(): void
  /** Opens an empty tab over this one and closes it after five seconds. */
  hideTab(): void
}

const hiddenMs = 5000
const nothingRead: ReaderFigures = { readChunks: 0, unreadChunks: 0, waitMs: 0 }

export function createFaultStream(): FaultStream {
  const backend = signal(defaultSettings.backend)
  const maxTokens = signal(defaultSettings.maxTokens)
  const readingSpeed = signal<ReadingSpeed>(defaultSpeed)
  const state = signal<FaultState>({ kind: 'idle' })
  const text = signal('')
  const reader = signal(nothingRead)
  const events = signal<readonly string[]>([])
  const device = signal<string | undefined>(undefined)
  const meter = meterRuns((run) => (endedRun = run))
  const pacer = createReadPacer(readingSpeeds[defaultSpeed])
  let loaded: { readonly engine: Engine; readonly backend: LabSettings['backend'] } | undefined
  let workers: BreakableWorkers | undefined
  let running: TokenStream | undefined
  let endedRun: Run | undefined
  let startedMs = 0
  let recoveries = 0
  /** Chunks read before the tab was hidden; undefined while it is visible. */
  let readWhenHidden: number | undefined

  const readOptions = () => toGenerateOptions({ ...defaultSettings, maxTokens: maxTokens.value })

  function addEvent(sentence: string): void {
    const { value, unit } = formatMs(performance.now() - startedMs)
    events.value = [...events.value, `${value} ${unit}, ${reader.value.readChunks} tokens: ${sentence}`]
  }

  async function load(): Promise<Engine> {
    if (loaded?.backend === backend.value) return loaded.engine
    await loaded?.engine.dispose()
    loaded = undefined
    const created = createBreakableWorkers(
      backend.value === 'llama-cpp' ? startLlamaCppWorker : startOnnxWorker,
    )
    workers = created
    const settings = { ...defaultSettings, backend: backend.value }
    const engine = await loadLabEngine(settings, { worker: created.create, onRecovery, observer })
    loaded = { engine, backend: settings.backend }
    return engine
  }

  function onRecovery({ code }: RivuletError): void {
    addEvent(`the library detected the loss (${code}) and reloads the model.`)
  }

  const isStreaming = () => state.value.kind === 'streaming'
  /** Does not report the reference. */
  const observer: EngineObserver = {
    onStart(report) {
      if (isStreaming()) meter.onStart(report)
    },
    onChunk(report) {
      if (!isStreaming()) return
      meter.onChunk(report)
      updateReader(report)
    },
    onEnd: meter.onEnd,
  }

  function updateReader({ arrivedMs, readMs, unreadChunks, ...observed }: ObservedChunk): void {
    const { readChunks } = reader.value
    reader.value = { readChunks: readChunks + 1, unreadChunks, waitMs: readMs - arrivedMs }
    if (observed.recoveries > recoveries) addEvent('the stream continues.')
    recoveries = observed.recoveries
  }

  function updateVisibility(): void {
    const { readChunks } = reader.value
    if (document.hidden && readWhenHidden === undefined && isStreaming()) {
      readWhenHidden = readChunks
      addEvent('the tab is hidden.')
    } else if (!document.hidden && readWhenHidden !== undefined) {
      // Also if the stream ended while the tab was hidden.
      addEvent(`the tab is visible again; ${readChunks - readWhenHidden} tokens arrived while it was hidden.`)
      readWhenHidden = undefined
    }
  }

  async function readPaced(stream: TokenStream): Promise<void> {
    const chunks = stream.getReader()
    for (;;) {
      // Chromium sends no visibilitychange event when a tab opened by this page hides it.
      updateVisibility()
      await pacer.waitForTurn()
      const { done, value } = await chunks.read()
      if (done) break
      text.value += value.text
    }
    chunks.releaseLock()
  }

  async function streamUnderFaults(engine: Engine, prompt: string): Promise<Run> {
    startedMs = performance.now()
    running = engine.generate(prompt, readOptions())
    await readPaced(running)
    return endedRun!
  }

  async function start(prompt: string): Promise<void> {
    batch(() => {
      state.value = { kind: 'loading' }
      text.value = ''
      events.value = []
      reader.value = nothingRead
      meter.clear()
    })
    recoveries = 0
    readWhenHidden = undefined
    try {
      const engine = await load()
      device.value = engine.info.device
      state.value = { kind: 'generating-reference' }
      const referenceText = await engine.generate(prompt, readOptions()).text()
      state.value = { kind: 'streaming' }
      const run = await streamUnderFaults(engine, prompt)
      state.value = { kind: 'done', run, isIdentical: text.value === referenceText, referenceText }
    } catch (error) {
      state.value = { kind: 'failed', message: describeFailure(error) }
    }
  }

  document.addEventListener('visibilitychange', updateVisibility)

  return {
    backend,
    maxTokens,
    readingSpeed,
    state,
    text,
    live: meter.live,
    reader,
    events,
    canLoseDevice: computed(() => isStreaming() && device.value === 'webgpu'),
    start,
    stop: () => void running?.cancel().catch(() => {}),
    setReadingSpeed(speed) {
      readingSpeed.value = speed
      pacer.set(readingSpeeds[speed])
    },
    terminateWorker() {
      addEvent('the page terminated the worker.')
      workers?.terminate()
    },
    loseDevice() {
      addEvent('the worker’s GPU device was destroyed.')
      workers?.loseDevice()
    },
    hideTab() {
      const tab = window.open('about:blank')
      if (!tab) return addEvent('the browser blocked the new tab. Switch to another tab yourself.')
      tab.document.title = 'Hides the lab'
      tab.document.body.textContent = 'This tab hides the lab and closes after five seconds.'
      setTimeout(() => tab.close(), hiddenMs)
    },
  }
}
