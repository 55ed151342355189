import type { Signal } from '@preact/signals'
import { Dialog } from '../app/dialog.js'
import type { Page } from '../app/page.js'
import { ConversationList } from './conversation-list.js'
import type { ConversationSummary } from './conversation-store.js'

interface ConversationPanelProps {
  readonly page: Page
  readonly isOpen: Signal<boolean>
  /** Whether the list fits beside the chat; otherwise it is a drawer over it. */
  readonly hasRoom: boolean
}

export function ConversationPanel({ page, isOpen, hasRoom }: ConversationPanelProps) {
  const { session, isPersistent, notices } = page
  const closeDrawer = () => {
    if (!hasRoom) isOpen.value = false
  }
  const remove = async ({ id, title }: ConversationSummary) => {
    const restore = await session.remove(id)
    notices.show(`Deleted “${title}”.`, { label: 'Undo', run: () => void restore() })
  }
  const list = (
    <ConversationList
      conversations={session.conversations.value}
      openId={session.thread.value.id}
      isPersistent={isPersistent}
      onOpen={(id) => {
        closeDrawer()
        page.scroll.resume()
        page.meter.clear()
        void session.open(id)
      }}
      onRename={(id, title) => void session.rename(id, title)}
      onRemove={(conversation) => void remove(conversation)}
    />
  )
  if (!hasRoom) {
    return (
      <Dialog isOpen={isOpen} title="Chats" class="settings drawer">
        {list}
      </Dialog>
    )
  }
  if (!isOpen.value) return null
  return (
    <nav class="side-panel" aria-label="Chats">
      {list}
    </nav>
  )
}
