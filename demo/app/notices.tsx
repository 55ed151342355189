import { signal, type ReadonlySignal } from '@preact/signals'
import type { Announcer } from './announcer.js'
import { Icon } from './icons.js'

interface Notice {
  readonly text: string
  readonly action?: { readonly label: string; readonly run: () => void } | undefined
}

/** Shows one notice at a time, until the user dismisses it or another one replaces it. */
export interface Notices {
  readonly current: ReadonlySignal<Notice | undefined>
  show(text: string, action?: Notice['action']): void
  dismiss(): void
}

export function createNotices(announcer: Announcer): Notices {
  const current = signal<Notice | undefined>(undefined)
  return {
    current,
    show(text, action) {
      current.value = { text, action }
      announcer.announce(action ? `${text} ${action.label} is available.` : text)
    },
    dismiss: () => (current.value = undefined),
  }
}

export function NoticeBar({ notices }: { readonly notices: Notices }) {
  const notice = notices.current.value
  if (!notice) return null
  const { text, action } = notice
  return (
    <div class="notice" role="group" aria-label="Notice">
      <p>{text}</p>
      {action && (
        <button
          type="button"
          class="quiet"
          onClick={() => {
            notices.dismiss()
            action.run()
          }}
        >
          {action.label}
        </button>
      )}
      <button type="button" class="turn-action" aria-label="Dismiss" onClick={notices.dismiss}>
        <Icon name="close" />
      </button>
    </div>
  )
}
