import {
  availability,
  createEngine,
  RivuletError,
  type Engine,
  type FinishReason,
  type ModelInfo,
  type TokenStream,
} from 'rivulet'
import { createAnnouncer } from './announcer.js'
import { createChatLog, type AnswerNote } from './chat-log.js'
import { createComposer } from './composer.js'
import { startChat } from './conversation.js'
import { createLoadPanel } from './load-panel.js'
import {
  createBackends,
  nameModel,
  readModelChoice,
  writeModelChoice,
  type ModelChoice,
} from './model-choice.js'
import { openModelPicker } from './models/open-model-picker.js'
import { installServiceWorker, keepRuntime } from './offline.js'
import { pageElement } from './page-element.js'
import { createReadouts } from './readouts.js'
import { createSettings } from './settings.js'
import { streamAnswer, type Ending } from './stream-answer.js'
import { installTheme } from './theme.js'
import { createWelcome } from './welcome.js'

/** What the page is doing. The engine and its running stream live here and nowhere else. */
type PageState =
  | { readonly kind: 'loading'; readonly abort: AbortController }
  | { readonly kind: 'ready'; readonly engine: Engine }
  | { readonly kind: 'generating'; readonly engine: Engine; readonly stream: TokenStream }
  | { readonly kind: 'failed' }

const composerModes = {
  loading: 'wait',
  ready: 'send',
  generating: 'stop',
  failed: 'wait',
} as const satisfies Record<PageState['kind'], string>

let state: PageState = { kind: 'failed' }
let choice = readModelChoice()
let chat = startChat()

const page = pageElement('chat', HTMLElement)
const announcer = createAnnouncer()
const log = createChatLog()
const readouts = createReadouts()
const welcome = createWelcome((suggestion) => void send(suggestion))
const composer = createComposer((question) => void send(question), stop)
const loadPanel = createLoadPanel(retry, announcer.say)
const settings = createSettings(choice, choose)
pageElement('open-models', HTMLButtonElement).addEventListener('click', () => {
  void openModelPicker(choice, choose)
})
pageElement('new-chat', HTMLButtonElement).addEventListener('click', newChat)
installTheme()
composer.focus()
void load()
addEventListener('load', () => void installServiceWorker(() => log.isEmpty()))

function choose(chosen: ModelChoice): void {
  choice = chosen
  writeModelChoice(choice)
  void load()
}

function setState(next: PageState): void {
  state = next
  page.dataset.state = next.kind
  composer.setMode(composerModes[next.kind])
  showWelcome()
}

function showWelcome(): void {
  if (!log.isEmpty() || state.kind === 'failed') welcome.show('nothing')
  else welcome.show(state.kind === 'ready' ? 'words and suggestions' : 'words')
}

/** Ends what runs, and loads what `choice` says. */
async function load(): Promise<void> {
  if (state.kind === 'loading') state.abort.abort()
  if (state.kind === 'ready' || state.kind === 'generating') void state.engine.dispose()
  const abort = new AbortController()
  setState({ kind: 'loading', abort })
  showModel('No model yet', '')
  welcome.describe(choice)
  loadPanel.startLoading()
  try {
    const engine = await createEngine({
      backend: await createBackends(choice),
      onProgress: loadPanel.showProgress,
      signal: abort.signal,
    })
    if (abort.signal.aborted) await engine.dispose()
    else showEngine(engine)
  } catch (error) {
    await showLoadFailure(error, abort.signal)
  }
}

function retry(): void {
  void load()
  // The button that was pressed is gone.
  loadPanel.focus()
}

function showEngine(engine: Engine): void {
  const { model, dtype, device, deviceDescription } = engine.info
  showModel(
    [nameModel(model), dtype].filter(Boolean).join(' · '),
    `${deviceNames[device]} · ${deviceDescription}`,
  )
  const isFocusFree = loadPanel.hasFocus() || document.activeElement === document.body
  loadPanel.hide()
  setState({ kind: 'ready', engine })
  announcer.say('The model is ready.')
  void keepRuntime(engine.info)
  if (isFocusFree) composer.focus()
}

const deviceNames = {
  webgpu: 'WebGPU',
  wasm: 'WASM',
  server: 'Server',
} satisfies Record<ModelInfo['device'], string>

function showModel(model: string, device: string): void {
  pageElement('model', HTMLElement).textContent = model
  pageElement('device', HTMLElement).textContent = device
}

async function showLoadFailure(error: unknown, superseded: AbortSignal): Promise<void> {
  const { code, message } = describe(error)
  const isBrowserTooOld = code === 'backend-unavailable'
  const devices = isBrowserTooOld ? await availability() : undefined
  if (superseded.aborted) return
  const title = isBrowserTooOld ? 'This browser cannot run the model' : 'The model could not be loaded'
  loadPanel.showFailure({ title, message, code, devices })
  setState({ kind: 'failed' })
}

async function send(question: string): Promise<void> {
  if (state.kind !== 'ready') return
  const { engine } = state
  const current = chat
  const isCurrent = () => chat === current
  log.addQuestion(question)
  showWelcome()
  const answer = log.addAnswer()
  const spoken = announcer.startAnswer()
  readouts.start()
  const ending = await streamAnswer({
    engine,
    chat: current,
    question,
    sampling: settings.readSampling(),
    onStream: (stream) => setState({ kind: 'generating', engine, stream }),
    onForget: () => {
      if (isCurrent()) log.markForgotten(current.forgotten, engine.info.contextLength)
    },
    onChunk: ({ text, tokenCount }) => {
      if (!isCurrent()) return
      answer.write(text)
      spoken.add(text)
      if (tokenCount > 0) readouts.addTokens(tokenCount)
    },
  })
  if (isCurrent()) {
    const note = describeEnding(ending)
    readouts.finish(ending.kind === 'finished' ? ending.result : undefined)
    spoken.finish()
    if (note) answer.flush()
    await answer.finish(note)
    if (note) announcer.say(note.text)
  }
  if (runs(engine)) settle(engine, ending)
}

/** Whether the page still runs this engine: another may have been loaded while it wrote. */
function runs(engine: Engine): boolean {
  return (state.kind === 'ready' || state.kind === 'generating') && state.engine === engine
}

/** Makes the page ready for the next question, or says that the engine cannot take one. */
function settle(engine: Engine, ending: Ending): void {
  const failure = ending.kind === 'failed' ? describe(ending.error) : undefined
  if (failure?.code !== 'worker-failed') return setState({ kind: 'ready', engine })
  // A worker that died does not come back: the model has to be loaded again.
  void engine.dispose()
  loadPanel.showFailure({
    title: 'The model stopped working',
    message: 'The conversation is kept. Load the model again to go on with it.',
    code: failure.code,
  })
  setState({ kind: 'failed' })
}

/** Stops the answer; whoever stops it wants it to stand still at once. */
function stop(): void {
  if (state.kind === 'generating') void state.stream.cancel()
}

function newChat(): void {
  stop()
  chat = startChat()
  log.clear()
  readouts.clear()
  announcer.startAnswer()
  announcer.say('New chat.')
  showWelcome()
  composer.focus()
}

function describeEnding(ending: Ending): AnswerNote | undefined {
  if (ending.kind === 'failed') {
    const { message, code } = describe(ending.error)
    return { kind: 'error', text: message, code }
  }
  const { finishReason, text } = ending.result
  if (finishReason === 'stop' && text === '')
    return { kind: 'quiet', text: 'The model ended its answer at once.' }
  const note = finishNotes[finishReason]
  return note === undefined ? undefined : { kind: 'quiet', text: note }
}

const finishNotes = {
  stop: undefined,
  cancelled: 'Stopped.',
  length: 'Cut off here: no more tokens were allowed, or the model’s context was full.',
} satisfies Record<FinishReason, string | undefined>

function describe(error: unknown) {
  if (error instanceof RivuletError) return { code: error.code, message: error.message }
  return { code: undefined, message: String(error) }
}
