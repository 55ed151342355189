import { batch, computed, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { Engine, RivuletError, TokenStream } from 'rivulet'
import { formatMs } from '../figure-format.js'
import { meterRuns } from '../figures/meter-runs.js'
import { describeModel, type LiveRun, type Run } from '../figures/run.js'
import { nameModel } from '../model-choice.js'
import {
  createBreakableWorkers,
  startLlamaCppWorker,
  startOnnxWorker,
  type BreakableWorkers,
} from './breakable-workers.js'
import { defaultSettings, toGenerateOptions, type LabSettings } from './lab-settings.js'
import { describeFailure } from './lane.js'
import { loadLabEngine } from './load-lab-engine.js'
import { paceReading } from './pace-reading.js'

/** Chunks a second, by name. */
export const paces = {
  'As fast as it comes': undefined,
  '20 tokens a second': 20,
  'Slow reader: one a second': 1,
} as const

/** Slow enough to press a button meanwhile. */
const firstPace = '20 tokens a second'

export type PaceName = keyof typeof paces

export type FaultState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading' }
  /** The answer as it is without faults. */
  | { readonly kind: 'rehearsing' }
  | { readonly kind: 'streaming' }
  | { readonly kind: 'done'; readonly run: Run; readonly isWhole: boolean; readonly undisturbed: string }
  | { readonly kind: 'failed'; readonly message: string }

/** How far the model is ahead of its reader. */
interface WireLook {
  readonly read: number
  readonly sent: number
  readonly credits: number
  readonly ahead: number
  readonly mostAhead: number
}

/** A greedy answer that is streamed twice: once in peace, then under whatever befalls it. */
export interface FaultStream {
  readonly runsOn: Signal<LabSettings['runsOn']>
  readonly maxTokens: Signal<number>
  readonly pace: ReadonlySignal<PaceName>
  readonly state: ReadonlySignal<FaultState>
  readonly text: ReadonlySignal<string>
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Counted up to the first loss: behind it another worker sends. */
  readonly wire: ReadonlySignal<WireLook>
  /** What befell it, in sentences, in order. */
  readonly events: ReadonlySignal<readonly string[]>
  readonly canLoseDevice: ReadonlySignal<boolean>
  start(prompt: string): Promise<void>
  stop(): void
  setPace(name: PaceName): void
  killWorker(): void
  loseDevice(): void
  /** Opens an empty tab over this one, and closes it after five seconds. */
  hideTab(): void
}

/** Chunks that a worker has sent when it dies are read all the same. */
const mostOnTheWay = 2
const pollMs = 100
const hiddenMs = 5000
const nothingSeen: WireLook = { read: 0, sent: 0, credits: 0, ahead: 0, mostAhead: 0 }

export function createFaultStream(): FaultStream {
  const runsOn = signal(defaultSettings.runsOn)
  const maxTokens = signal(defaultSettings.maxTokens)
  const pace = signal<PaceName>(firstPace)
  const state = signal<FaultState>({ kind: 'idle' })
  const text = signal('')
  const wire = signal(nothingSeen)
  const events = signal<readonly string[]>([])
  const device = signal<string | undefined>(undefined)
  const meter = meterRuns()
  const reading = paceReading(paces[firstPace])
  let loaded: { readonly engine: Engine; readonly runsOn: LabSettings['runsOn'] } | undefined
  let workers: BreakableWorkers | undefined
  let running: TokenStream | undefined
  let startedMs = 0
  let read = 0
  /** The undisturbed answer's number, by which the worker counts. */
  let rehearsal = 0
  /** Read by then, where something was lost. */
  let readAtLoss: number | undefined
  /** Read by then, where the tab was hidden in mid-stream. */
  let readWhenHidden: number | undefined

  const readOptions = () => toGenerateOptions({ ...defaultSettings, maxTokens: maxTokens.value })

  function tell(what: string): void {
    const { value, unit } = formatMs(performance.now() - startedMs)
    events.value = [...events.value, `${value} ${unit}, ${read} tokens: ${what}`]
  }

  async function load(): Promise<Engine> {
    if (loaded?.runsOn === runsOn.value) return loaded.engine
    await loaded?.engine.dispose()
    loaded = undefined
    const made = createBreakableWorkers(runsOn.value === 'llama-cpp' ? startLlamaCppWorker : startOnnxWorker)
    workers = made
    const settings = { ...defaultSettings, runsOn: runsOn.value }
    const engine = await loadLabEngine(settings, { worker: made.create, onRecovery: noticeLoss })
    loaded = { engine, runsOn: settings.runsOn }
    return engine
  }

  function noticeLoss({ code }: RivuletError): void {
    readAtLoss = read
    tell(`the library noticed (${code}) and loads the model again.`)
  }

  function look(): void {
    if (readAtLoss !== undefined || !workers) return
    const { generation, sentChunks: sent, credits } = workers.counts.value
    if (generation === rehearsal) return
    const ahead = Math.max(0, sent - read)
    wire.value = { read, sent, credits, ahead, mostAhead: Math.max(wire.value.mostAhead, ahead) }
  }

  function noticeHiding(): void {
    if (document.hidden && readWhenHidden === undefined && state.value.kind === 'streaming') {
      readWhenHidden = read
      tell('the tab is hidden.')
    } else if (!document.hidden && readWhenHidden !== undefined) {
      // Also when all of the answer came meanwhile.
      tell(`the tab is shown again; ${read - readWhenHidden} tokens came meanwhile.`)
      readWhenHidden = undefined
    }
  }

  async function readPaced(
    stream: TokenStream,
    onChunk: (chunk: { text: string; tokenCount: number }) => void,
  ) {
    const reader = stream.getReader()
    for (;;) {
      // Chromium sends no event where the tab that hides this one was opened by it.
      noticeHiding()
      await reading.waitForTurn()
      const { done, value } = await reader.read()
      if (done) break
      read += 1
      onChunk(value)
    }
    reader.releaseLock()
    return stream.result
  }

  async function streamUnderFaults(engine: Engine, prompt: string): Promise<Run> {
    const polling = setInterval(() => {
      void workers?.askCounts()
      look()
    }, pollMs)
    const metered = meter.start(prompt, describeModel(engine.info, nameModel(engine.info.model)))
    startedMs = performance.now()
    try {
      const stream = engine.generate(prompt, readOptions())
      running = stream
      const result = await readPaced(stream, (chunk) => {
        metered.addChunk(chunk)
        text.value += chunk.text
        if (readAtLoss !== undefined && read === readAtLoss + mostOnTheWay + 1) tell('the stream goes on.')
      })
      return metered.finish({ kind: 'finished', result })
    } finally {
      clearInterval(polling)
    }
  }

  async function start(prompt: string): Promise<void> {
    batch(() => {
      state.value = { kind: 'loading' }
      text.value = ''
      events.value = []
      wire.value = nothingSeen
      meter.clear()
    })
    read = 0
    readAtLoss = undefined
    readWhenHidden = undefined
    try {
      const engine = await load()
      device.value = engine.info.device
      state.value = { kind: 'rehearsing' }
      const undisturbed = await engine.generate(prompt, readOptions()).text()
      rehearsal = (await workers!.askCounts()).generation
      state.value = { kind: 'streaming' }
      const run = await streamUnderFaults(engine, prompt)
      state.value = { kind: 'done', run, isWhole: text.value === undisturbed, undisturbed }
    } catch (error) {
      state.value = { kind: 'failed', message: describeFailure(error) }
    }
  }

  document.addEventListener('visibilitychange', noticeHiding)

  return {
    runsOn,
    maxTokens,
    pace,
    state,
    text,
    live: meter.live,
    wire,
    events,
    canLoseDevice: computed(() => state.value.kind === 'streaming' && device.value === 'webgpu'),
    start,
    stop: () => void running?.cancel(),
    setPace(name) {
      pace.value = name
      reading.set(paces[name])
    },
    killWorker() {
      tell('the page ends the worker.')
      workers?.kill()
    },
    loseDevice() {
      tell('the worker’s GPU device is destroyed.')
      workers?.loseDevice()
    },
    hideTab() {
      const tab = window.open('about:blank')
      if (!tab) return tell('the browser opens no tab; switch to another one by hand.')
      tab.document.title = 'Hides the lab'
      tab.document.body.textContent = 'This tab hides the lab for five seconds.'
      setTimeout(() => tab.close(), hiddenMs)
    },
  }
}
