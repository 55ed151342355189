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

/** How many chunks the worker has sent and the page has read. */
interface MessageCounts {
  readonly read: number
  readonly sent: number
  readonly credits: number
  /** Sent but not read yet. */
  readonly unread: number
  readonly maxUnread: number
}

/** Generates a greedy answer twice: first a reference without faults, then a stream into which faults are injected. */
export interface FaultStream {
  readonly backend: Signal<LabSettings['backend']>
  readonly maxTokens: Signal<number>
  readonly readingSpeed: ReadonlySignal<ReadingSpeed>
  readonly state: ReadonlySignal<FaultState>
  readonly text: ReadonlySignal<string>
  readonly live: ReadonlySignal<LiveRun | undefined>
  /** Counted until the first loss; after it another worker sends. */
  readonly messages: ReadonlySignal<MessageCounts>
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

/** The most chunks that can still arrive from a worker that has crashed. */
const maxInFlight = 2
const pollMs = 100
const hiddenMs = 5000
const noMessages: MessageCounts = { read: 0, sent: 0, credits: 0, unread: 0, maxUnread: 0 }

export function createFaultStream(): FaultStream {
  const backend = signal(defaultSettings.backend)
  const maxTokens = signal(defaultSettings.maxTokens)
  const readingSpeed = signal<ReadingSpeed>(defaultSpeed)
  const state = signal<FaultState>({ kind: 'idle' })
  const text = signal('')
  const messages = signal(noMessages)
  const events = signal<readonly string[]>([])
  const device = signal<string | undefined>(undefined)
  const meter = meterRuns()
  const pacer = createReadPacer(readingSpeeds[defaultSpeed])
  let loaded: { readonly engine: Engine; readonly backend: LabSettings['backend'] } | undefined
  let workers: BreakableWorkers | undefined
  let running: TokenStream | undefined
  let startedMs = 0
  let read = 0
  /** The worker's number for the reference generation. */
  let referenceGeneration = 0
  /** Chunks read before the latest loss. */
  let readAtLoss: number | undefined
  /** Chunks read before the tab was hidden; undefined while it is visible. */
  let readWhenHidden: number | undefined

  const readOptions = () => toGenerateOptions({ ...defaultSettings, maxTokens: maxTokens.value })

  function addEvent(sentence: string): void {
    const { value, unit } = formatMs(performance.now() - startedMs)
    events.value = [...events.value, `${value} ${unit}, ${read} tokens: ${sentence}`]
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
    const engine = await loadLabEngine(settings, { worker: created.create, onRecovery })
    loaded = { engine, backend: settings.backend }
    return engine
  }

  function onRecovery({ code }: RivuletError): void {
    readAtLoss = read
    addEvent(`the library detected the loss (${code}) and reloads the model.`)
  }

  function updateMessages(): void {
    if (readAtLoss !== undefined || !workers) return
    const { generation, sentChunks: sent, credits } = workers.counts.value
    if (generation === referenceGeneration) return
    const unread = Math.max(0, sent - read)
    const maxUnread = Math.max(messages.value.maxUnread, unread)
    messages.value = { read, sent, credits, unread, maxUnread }
  }

  function updateVisibility(): void {
    if (document.hidden && readWhenHidden === undefined && state.value.kind === 'streaming') {
      readWhenHidden = read
      addEvent('the tab is hidden.')
    } else if (!document.hidden && readWhenHidden !== undefined) {
      // Also if the stream ended while the tab was hidden.
      addEvent(`the tab is visible again; ${read - readWhenHidden} tokens arrived while it was hidden.`)
      readWhenHidden = undefined
    }
  }

  async function readPaced(
    stream: TokenStream,
    onChunk: (chunk: { text: string; tokenCount: number }) => void,
  ) {
    const reader = stream.getReader()
    for (;;) {
      // Chromium sends no visibilitychange event when a tab opened by this page hides it.
      updateVisibility()
      await pacer.waitForTurn()
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
      void workers?.readCounts()
      updateMessages()
    }, pollMs)
    const metered = meter.start(prompt, describeModel(engine.info, nameModel(engine.info.model)))
    startedMs = performance.now()
    try {
      const stream = engine.generate(prompt, readOptions())
      running = stream
      const result = await readPaced(stream, (chunk) => {
        metered.addChunk(chunk)
        text.value += chunk.text
        if (readAtLoss !== undefined && read === readAtLoss + maxInFlight + 1) {
          addEvent('the stream continues.')
        }
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
      messages.value = noMessages
      meter.clear()
    })
    read = 0
    readAtLoss = undefined
    readWhenHidden = undefined
    try {
      const engine = await load()
      device.value = engine.info.device
      state.value = { kind: 'generating-reference' }
      const referenceText = await engine.generate(prompt, readOptions()).text()
      referenceGeneration = (await workers!.readCounts()).generation
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
    messages,
    events,
    canLoseDevice: computed(() => state.value.kind === 'streaming' && device.value === 'webgpu'),
    start,
    stop: () => void running?.cancel(),
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
