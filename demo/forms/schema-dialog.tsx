import { useSignal, type Signal } from '@preact/signals'
import { Dialog } from '../app/dialog.js'
import { checkSchema } from './own-schema.js'

interface SchemaDialogProps {
  readonly isOpen: Signal<boolean>
  readonly text: string
  /** Called with the text of a valid schema. */
  readonly onUse: (text: string) => void
}

/** Edits the user's JSON schema. */
export function SchemaDialog({ isOpen, text, onUse }: SchemaDialogProps) {
  return (
    <Dialog isOpen={isOpen} title="Your schema" class="settings">
      <SchemaForm
        text={text}
        onUse={(used) => {
          isOpen.value = false
          onUse(used)
        }}
      />
    </Dialog>
  )
}

function SchemaForm({ text, onUse }: Pick<SchemaDialogProps, 'text' | 'onUse'>) {
  const draft = useSignal(text)
  const error = useSignal<string | undefined>(undefined)
  return (
    <form
      class="schema-form"
      onSubmit={(event) => {
        event.preventDefault()
        const checked = checkSchema(draft.value)
        if (checked.kind === 'invalid') error.value = checked.error
        else onUse(draft.value)
      }}
    >
      <p id="schema-about" class="form-note">
        The model can then write only JSON that this schema allows. Limit the length of texts and lists, so
        that a small model ends its answer.
      </p>
      <textarea
        aria-label="JSON schema"
        aria-describedby="schema-about schema-error"
        aria-invalid={error.value !== undefined}
        rows={14}
        spellcheck={false}
        autocomplete="off"
        value={draft}
        onInput={({ currentTarget }) => {
          draft.value = currentTarget.value
          error.value = undefined
        }}
      />
      <p id="schema-error" class="form-note error" role="alert">
        {error}
      </p>
      <button type="submit" class="primary">
        Use this schema
      </button>
    </form>
  )
}
