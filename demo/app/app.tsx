import { effect, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { AnswerOptions } from '../chat/answer-options.js'
import { Composer, focusPrompt } from '../chat/composer.js'
import { ReadingNote } from '../chat/reading-note.js'
import { Turns } from '../chat/turns.js'
import { Suggestions, Welcome } from '../chat/welcome.js'
import { ConversationPanel } from '../conversations/conversation-panel.js'
import { LoadPanel } from '../engine/load-panel.js'
import { Figures } from '../figures/figures.js'
import { openModelPicker } from '../models/open-model-picker.js'
import { LazySettings } from '../settings/lazy-settings.js'
import { LiveRegions } from './announcer.js'
import { Masthead } from './masthead.js'
import { watchMedia } from './media.js'
import { NoticeBar } from './notices.js'
import type { Page } from './page.js'
import type { ThemeChoice } from './theme.js'

/** Whether there is room for the chat list beside the chat. */
const hasRoomForList = watchMedia('(width >= 50rem)')

export function App({ page, theme }: { readonly page: Page; readonly theme: ThemeChoice }) {
  const { session, announcer, notices, meter, history } = page
  const isListOpen = useSignal(hasRoomForList.value)
  const isSettingsOpen = useSignal(false)

  useEffect(focusPrompt, [])
  // On a narrow page the list is a drawer that covers the chat: it is closed until the user opens it. Before the next
  // rendering, not after it as with useSignalEffect: the drawer would take the focus for a moment.
  useEffect(() => effect(() => void (isListOpen.value = hasRoomForList.value)), [])
  useEffect(() => {
    const stopOnEscape = (event: KeyboardEvent) => {
      const isInDialog = event.target instanceof Element && event.target.closest('dialog')
      if (event.key === 'Escape' && !event.isComposing && !isInDialog) void session.thread.peek().stop()
    }
    document.addEventListener('keydown', stopOnEscape)
    return () => document.removeEventListener('keydown', stopOnEscape)
  }, [])

  const openModels = () => void openModelPicker(page.choice.peek(), page.choose)
  const startNew = () => {
    session.startNew()
    meter.clear()
    announcer.startAnswer()
    announcer.announce('New chat.')
    focusPrompt()
  }

  return (
    <>
      <Masthead {...{ theme, isListOpen, isSettingsOpen }} onModels={openModels} onNewChat={startNew} />
      <ConversationPanel page={page} isOpen={isListOpen} hasRoom={hasRoomForList.value} />
      <Chat page={page} onModels={openModels} />
      <aside class="figures" aria-label="Model and performance">
        <Figures
          model={page.model}
          otherTabs={page.loader.otherTabs}
          live={meter.live}
          runs={history.runs}
          onClear={() => void history.clear()}
        />
      </aside>
      <LazySettings
        isOpen={isSettingsOpen}
        settings={page.settings}
        choice={page.choice.value}
        onChoose={page.choose}
        onReload={page.load}
      />
      <NoticeBar notices={notices} />
      <LiveRegions announcer={announcer} />
    </>
  )
}

/** The open chat and the message field. */
function Chat({ page, onModels }: { readonly page: Page; readonly onModels: () => void }) {
  const { session, loader, mode, announcer, notices, scroll, meter } = page
  const thread = session.thread.value
  const load = loader.state.value
  const isAnswering = thread.status.value.kind === 'answering'
  const isEmpty = thread.turns.value.length === 0
  const send = (text: string) => page.ask((open) => open.send(text))
  const scrollToBottom = () => {
    scroll.resume()
    // The focused button disappears.
    focusPrompt()
  }
  const model = load.kind === 'ready' ? load.engine.info : undefined
  const chooseModel = { label: 'Choose another model', run: onModels }
  return (
    <main data-state={isAnswering && load.kind === 'ready' ? 'generating' : load.kind}>
      <section class="conversation" aria-label="Chat">
        {isEmpty && load.kind !== 'failed' && <PageWelcome page={page} />}
        <Turns
          key={thread.id}
          {...{ thread, model, scroll }}
          announce={announcer.announce}
          ask={page.ask}
          onModels={onModels}
        />
        {isAnswering && load.kind === 'ready' && (
          <ReadingNote
            prefill={meter.prefill}
            written={thread.written}
            isServer={load.engine.info.device === 'server'}
          />
        )}
        {load.kind !== 'ready' && (
          <LoadPanel
            state={load}
            onRetry={page.load}
            onModels={onModels}
            onPhase={announcer.announce}
            onFocusLost={focusPrompt}
          />
        )}
        {isEmpty && load.kind === 'ready' && <Suggestions onChoose={send} />}
      </section>
      <Composer
        isAnswering={isAnswering}
        onSend={send}
        onTyped={() => void thread.prepare()}
        onStop={() => void thread.stop()}
        options={
          <AnswerOptions
            mode={mode}
            onRefused={(reason) => notices.show(reason, load.kind === 'ready' ? chooseModel : undefined)}
          />
        }
      >
        {isAnswering && !scroll.isFollowing.value && (
          <button type="button" class="quiet scroll-to-bottom" onClick={scrollToBottom}>
            Scroll to bottom
          </button>
        )}
      </Composer>
    </main>
  )
}

function PageWelcome({ page }: { readonly page: Page }) {
  const { model, backend, server } = page.choice.value
  const { server: fallbackServer, serverModel } = page.settings.current.value
  const hasFallback = backend === 'auto' && fallbackServer !== undefined && serverModel !== undefined
  return (
    <Welcome
      isBuiltInModel={model === ''}
      server={backend === 'remote' ? server : undefined}
      fallbackServer={hasFallback ? fallbackServer : undefined}
    />
  )
}
