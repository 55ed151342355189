import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Icon } from '../app/icons.js'
import type { ConversationSummary } from './conversation-store.js'

interface ConversationListProps {
  readonly conversations: readonly ConversationSummary[]
  readonly openId: string
  /** Whether the browser saves conversations. */
  readonly isPersistent: boolean
  readonly onOpen: (id: string) => void
  readonly onRename: (id: string, title: string) => void
  readonly onRemove: (conversation: ConversationSummary) => void
}

export function ConversationList(props: ConversationListProps) {
  const { conversations, openId, isPersistent, ...actions } = props
  return (
    <div class="conversations">
      {conversations.length === 0 && isPersistent && (
        <p class="form-note">Your chats are saved in this browser and listed here.</p>
      )}
      {!isPersistent && (
        <p class="form-note">This browser cannot save chats. They are lost when you close this page.</p>
      )}
      <ul>
        {conversations.map((conversation) => (
          <ConversationItem
            key={conversation.id}
            conversation={conversation}
            isOpen={conversation.id === openId}
            {...actions}
          />
        ))}
      </ul>
    </div>
  )
}

interface ConversationItemProps extends Pick<ConversationListProps, 'onOpen' | 'onRename' | 'onRemove'> {
  readonly conversation: ConversationSummary
  readonly isOpen: boolean
}

function ConversationItem({ conversation, isOpen, onOpen, onRename, onRemove }: ConversationItemProps) {
  const isRenaming = useSignal(false)
  const item = useRef<HTMLLIElement>(null)
  const { id, title } = conversation
  const closeEditor = () => {
    isRenaming.value = false
    // The focused field was removed.
    requestAnimationFrame(() => item.current?.querySelector<HTMLElement>('.conversation-title')?.focus())
  }
  if (isRenaming.value) {
    return (
      <li ref={item}>
        <TitleEditor
          title={title}
          onCancel={closeEditor}
          onDone={(named) => {
            onRename(id, named)
            closeEditor()
          }}
        />
      </li>
    )
  }
  return (
    <li ref={item} class={isOpen ? 'open' : undefined}>
      <button
        type="button"
        class="conversation-title"
        aria-current={isOpen ? 'true' : undefined}
        title={title}
        dir="auto"
        onClick={() => onOpen(id)}
      >
        {title}
      </button>
      <button
        type="button"
        class="turn-action"
        aria-label={`Rename “${title}”`}
        title="Rename"
        onClick={() => (isRenaming.value = true)}
      >
        <Icon name="edit" />
      </button>
      <button
        type="button"
        class="turn-action"
        aria-label={`Delete “${title}”`}
        title="Delete"
        onClick={() => onRemove(conversation)}
      >
        <Icon name="delete" />
      </button>
    </li>
  )
}

interface TitleEditorProps {
  readonly title: string
  readonly onDone: (title: string) => void
  readonly onCancel: () => void
}

function TitleEditor({ title, onDone, onCancel }: TitleEditorProps) {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.select(), [])
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        const named = field.current?.value.trim()
        if (named) onDone(named)
        else onCancel()
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || event.isComposing) return
        // Escape only ends the renaming: it must not close the drawer or stop an answer.
        event.preventDefault()
        event.stopPropagation()
        onCancel()
      }}
    >
      <input ref={field} type="text" aria-label="Title" maxLength={120} defaultValue={title} />
    </form>
  )
}
