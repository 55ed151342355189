import { useSignal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { useGrowingField } from '../app/grow-field.js'
import { CopyAction, TurnAction, Versions } from './turn-actions.js'
import type { ShownTurn } from './thread.js'

interface QuestionProps {
  readonly shown: ShownTurn
  readonly announce: (status: string) => void
  readonly onEdit: (text: string) => void
  readonly onShowVersion: (id: string) => void
}

/** A message of the user: text, never markup. */
export function QuestionTurn({ shown, announce, onEdit, onShowVersion }: QuestionProps) {
  const isEditing = useSignal(false)
  const actions = useRef<HTMLDivElement>(null)
  const { text } = shown.turn
  const close = () => {
    isEditing.value = false
    // The focused field was removed.
    requestAnimationFrame(() => actions.current?.querySelector<HTMLElement>('[aria-label="Edit"]')?.focus())
  }
  return (
    <li class="turn question">
      <h2 class="visually-hidden">You</h2>
      {isEditing.value ? (
        <QuestionEditor
          text={text}
          onCancel={close}
          onDone={(edited) => {
            if (edited === text) return close()
            isEditing.value = false
            onEdit(edited)
          }}
        />
      ) : (
        <>
          <div class="turn-text bubble" dir="auto">
            {text}
          </div>
          <div class="turn-actions" ref={actions}>
            <Versions shown={shown} onChoose={onShowVersion} />
            <TurnAction label="Edit" icon="edit" onClick={() => (isEditing.value = true)} />
            <CopyAction text={text} announce={announce} />
          </div>
        </>
      )}
    </li>
  )
}

interface QuestionEditorProps {
  readonly text: string
  readonly onDone: (text: string) => void
  readonly onCancel: () => void
}

function QuestionEditor({ text, onDone, onCancel }: QuestionEditorProps) {
  const edited = useSignal(text)
  const field = useRef<HTMLTextAreaElement>(null)
  // Before anything can be typed: later, it would move the cursor of a fast typist.
  useLayoutEffect(() => {
    field.current?.focus()
    field.current?.setSelectionRange(text.length, text.length)
  }, [])
  useGrowingField(field, edited.value)
  const finish = () => {
    const question = edited.value.trim()
    if (question !== '') onDone(question)
  }
  return (
    <form
      class="question-editor"
      onSubmit={(event) => {
        event.preventDefault()
        finish()
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || event.isComposing) return
        // Escape only closes the editor; it must not stop a streaming answer.
        event.stopPropagation()
        onCancel()
      }}
    >
      <textarea
        ref={field}
        rows={2}
        dir="auto"
        aria-label="Edit message"
        value={edited}
        onInput={({ currentTarget }) => (edited.value = currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
          event.preventDefault()
          finish()
        }}
      />
      <div class="editor-actions">
        <button type="button" class="quiet" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" class="primary">
          Send
        </button>
      </div>
    </form>
  )
}
