import type { Signal } from '@preact/signals'
import { Icon, Mark } from './icons.js'
import { ThemeToggle } from './theme-toggle.js'
import type { ThemeChoice } from './theme.js'

interface MastheadProps {
  readonly theme: ThemeChoice
  readonly isListOpen: Signal<boolean>
  readonly isSettingsOpen: Signal<boolean>
  readonly onModels: () => void
  readonly onNewChat: () => void
}

export function Masthead({ theme, isListOpen, isSettingsOpen, onModels, onNewChat }: MastheadProps) {
  return (
    <header class="masthead">
      <div class="actions">
        <button
          type="button"
          class="action"
          aria-label="Chats"
          aria-expanded={isListOpen.value}
          title="Chats"
          onClick={() => (isListOpen.value = !isListOpen.value)}
        >
          <Icon name="list" />
        </button>
        <h1 class="wordmark">
          <Mark />
          <span>rivulet</span>
        </h1>
      </div>
      <div class="actions">
        <button type="button" class="action" aria-label="New chat" onClick={onNewChat}>
          <Icon name="add" />
          <span class="action-text">New chat</span>
        </button>
        <button type="button" class="action" aria-label="Models" aria-haspopup="dialog" onClick={onModels}>
          <Icon name="model" />
          <span class="action-text">Models</span>
        </button>
        <button
          type="button"
          class="action"
          aria-label="Settings"
          aria-haspopup="dialog"
          onClick={() => (isSettingsOpen.value = true)}
        >
          <Icon name="settings" />
          <span class="action-text">Settings</span>
        </button>
        <a class="action" href="./lab.html" aria-label="Lab">
          <Icon name="lab" />
          <span class="action-text">Lab</span>
        </a>
        <ThemeToggle theme={theme} />
      </div>
    </header>
  )
}
