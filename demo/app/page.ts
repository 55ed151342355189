import { effect, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { Answer } from 'rivulet/chat'
import { createAnswerMode, type AnswerMode } from '../chat/answer-mode.js'
import { describeEnding } from '../chat/describe-ending.js'
import type { Thread } from '../chat/thread.js'
import { openConversationStore } from '../conversations/conversation-store.js'
import { openSession, type Session } from '../conversations/session.js'
import { describeError } from '../engine/describe-error.js'
import { createEngineLoader, type EngineLoader } from '../engine/engine-loader.js'
import { meterRuns, type RunMeter } from '../figures/meter-runs.js'
import { openRunHistory, type RunHistory } from '../figures/run-history.js'
import { describeModel, type RunModel } from '../figures/run.js'
import { readModelChoice, writeModelChoice, type ModelChoice } from '../model-choice.js'
import { chooseBackends } from '../settings/choose-backends.js'
import { openSettings, readSampling, type SettingsStore } from '../settings/settings.js'
import { createStickyScroll, type StickyScroll } from '../sticky-scroll.js'
import { createAnnouncer, type Announcer } from './announcer.js'
import { createNotices, type Notices } from './notices.js'

/** The state that the page's parts share. Each member owns one piece of it. */
export interface Page {
  readonly settings: SettingsStore
  readonly choice: ReadonlySignal<ModelChoice>
  readonly loader: EngineLoader
  readonly mode: AnswerMode
  readonly session: Session
  /** Whether the browser saves conversations. */
  readonly isPersistent: boolean
  readonly announcer: Announcer
  readonly notices: Notices
  readonly scroll: StickyScroll
  readonly model: ReadonlySignal<RunModel | undefined>
  readonly meter: RunMeter
  readonly history: RunHistory
  /** Loads the chosen model with the current settings. */
  load(): void
  choose(choice: ModelChoice): void
  /** Starts an answer in the open conversation. If `start` rejects, shows the error as a notice. */
  ask(start: (thread: Thread) => Promise<void>): void
}

export async function openPage(): Promise<Page> {
  const settings = openSettings()
  const choice = signal(readModelChoice())
  const history = openRunHistory()
  const meter = meterRuns((run) => void history.add(run))
  const loader = createEngineLoader(meter)
  const mode = createAnswerMode(loader.state)
  const announcer = createAnnouncer()
  const notices = createNotices(announcer)
  const scroll = createStickyScroll()
  const model: Signal<RunModel | undefined> = signal(undefined)
  const firstLoad = loadEngine()

  function loadEngine() {
    const loading = loader.load(() => chooseBackends(choice.peek(), settings.current.peek()))
    // The loader shows the error, and the chat fails with it.
    loading.catch(() => {})
    return loading
  }

  const store = await openConversationStore()
  const session = await openSession(store, {
    engine: firstLoad,
    readInstructions() {
      const { sampling, tools } = mode.readOptions()
      const current = settings.current.peek()
      return { system: current.system, sampling: { ...readSampling(current), ...sampling }, tools }
    },
    onAnswer: (ending) => void speakAnswer(session, announcer, ending),
    onSaveError: (error) => notices.show(`This chat could not be saved: ${describeError(error).message}`),
  })

  effect(() => {
    const state = loader.state.value
    if (state.kind !== 'ready') return (model.value = undefined)
    const { info } = state.engine
    model.value = describeModel(info)
    announcer.announce('The model is ready.')
  })
  effect(() => {
    const status = session.thread.value.status.value
    if (status.kind !== 'failed' || status.error.code !== 'worker-failed') return
    // The library has given up restarting the worker: the user has to load the model again.
    loader.fail({
      title: 'The model stopped working',
      message: status.error.message,
      code: status.error.code,
    })
  })

  const page: Page = {
    settings,
    choice,
    loader,
    mode,
    session,
    isPersistent: store.isPersistent,
    announcer,
    notices,
    scroll,
    model,
    meter,
    history,
    load() {
      void session.thread.peek().stop()
      session.setEngine(loadEngine())
    },
    choose(chosen) {
      choice.value = chosen
      writeModelChoice(chosen)
      page.load()
    },
    ask(start) {
      scroll.resume()
      start(session.thread.peek()).catch((error: unknown) => notices.show(describeError(error).message))
    },
  }
  return page
}

/** Announces an answer while it streams, and then how it ended. */
async function speakAnswer(session: Session, announcer: Announcer, ending: Promise<Answer>): Promise<void> {
  const thread = session.thread.peek()
  const spoken = announcer.startAnswer()
  let length = thread.written.text.peek().length
  const stop = effect(() => {
    const text = thread.written.text.value
    // JSON is read out badly: the end of a value is announced.
    if (text.length > length && thread.written.value.peek() === undefined) spoken.add(text.slice(length))
    length = text.length
  })
  const answer = await ending
  stop()
  if (session.thread.peek() !== thread) return
  if (answer.value === undefined) spoken.add(answer.text.slice(length))
  spoken.finish()
  const note = describeEnding(answer, false)
  if (note) announcer.announce(note.text)
  else if (answer.value !== undefined) announcer.announce('The answer is complete, and has the chosen form.')
}
