import { useSignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { Icon } from '../app/icons.js'
import { formLabels, type FormName } from '../forms/forms.js'
import type { SchemaDialog } from '../forms/schema-dialog.js'
import type { AnswerMode } from './answer-mode.js'

interface AnswerOptionsProps {
  readonly mode: AnswerMode
  /** Called with the reason if the loaded model cannot do what the user chose. */
  readonly onRefused: (reason: string) => void
}

/** Below the message field: the form of the answer, and the tools. */
export function AnswerOptions({ mode, onRefused }: AnswerOptionsProps) {
  const isEditing = useSignal(false)
  const dialog = useSignal<ComponentType<Parameters<typeof SchemaDialog>[0]> | undefined>(undefined)
  const LoadedDialog = dialog.value
  const form = mode.form.value

  async function editSchema(): Promise<void> {
    const loaded = await import('../forms/schema-dialog.js')
    dialog.value = loaded.SchemaDialog
    isEditing.value = true
  }

  function choose(select: HTMLSelectElement): void {
    const reason = mode.chooseForm(select.value as FormName)
    // The browser has changed the field already.
    select.value = mode.form.peek()
    if (reason !== undefined) onRefused(reason)
    else if (select.value === 'own') void editSchema()
  }

  return (
    <div class="answer-options">
      <label class="visually-hidden" for="answer-form">
        Form of the answer
      </label>
      <select
        id="answer-form"
        class={form === 'text' ? 'option' : 'option on'}
        value={form}
        title="Form of the answer"
        onChange={({ currentTarget }) => choose(currentTarget)}
      >
        {Object.entries(formLabels).map(([name, label]) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
      </select>
      {form === 'own' && (
        <button
          type="button"
          class="turn-action"
          aria-label="Edit your schema"
          title="Edit your schema"
          onClick={() => void editSchema()}
        >
          <Icon name="edit" />
        </button>
      )}
      <button
        type="button"
        class={mode.hasTools.value ? 'option on' : 'option'}
        aria-pressed={mode.hasTools.value}
        title="Calculator, clock and page search"
        onClick={() => {
          const reason = mode.switchTools()
          if (reason !== undefined) onRefused(reason)
        }}
      >
        <Icon name="tool" /> Tools
      </button>
      {LoadedDialog && (
        <LoadedDialog isOpen={isEditing} text={mode.ownSchema.value} onUse={mode.useOwnSchema} />
      )}
    </div>
  )
}
