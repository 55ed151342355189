import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import { growField } from '../app/grow-field.js'

interface FieldProps<Value> {
  readonly label: string
  /** One or two sentences, shown below the field. */
  readonly explanation: string
  readonly value: Value | undefined
  readonly placeholder: string
  /** @returns an error message; undefined if the value is valid */
  readonly check: (value: Value) => string | undefined | Promise<string | undefined>
  /** Called with a valid value, or with undefined if the field is empty. */
  readonly onChange: (value: Value | undefined) => void
}

interface FieldKind<Value> {
  readonly type: 'number' | 'text' | 'textarea'
  /** @returns undefined if the typed text is empty */
  readonly read: (typed: string) => Value | undefined
}

export function NumberField(props: FieldProps<number>) {
  return <Field {...props} type="number" read={(typed) => (typed === '' ? undefined : Number(typed))} />
}

export function TextField({ type = 'text', ...props }: FieldProps<string> & { type?: 'text' | 'textarea' }) {
  return <Field {...props} type={type} read={(typed) => typed.trim() || undefined} />
}

/** An invalid value stays in the field with the error below it; the setting keeps its previous value. */
function Field<Value extends string | number>(props: FieldProps<Value> & FieldKind<Value>) {
  const { label, explanation, value, placeholder, check, onChange, type, read } = props
  const error = useSignal<string | undefined>(undefined)
  const id = useId()
  const update = async ({ currentTarget }: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => {
    const typed = currentTarget.value
    if (currentTarget instanceof HTMLTextAreaElement) growField(currentTarget)
    if (currentTarget.validity.badInput) return (error.value = 'Enter a number.')
    const changed = read(typed)
    const found = changed === undefined ? undefined : await check(changed)
    // The user may have typed more in the meantime.
    if (currentTarget.value !== typed) return undefined
    error.value = found
    if (found === undefined) onChange(changed)
    return undefined
  }
  const shared = {
    id,
    placeholder,
    spellcheck: false,
    defaultValue: value === undefined ? '' : String(value),
    'aria-describedby': `${id}-about`,
    'aria-invalid': error.value !== undefined,
    onInput: (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => void update(event),
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {type === 'textarea' && <textarea ref={growField} rows={3} dir="auto" {...shared} />}
      {type === 'number' && <input type="number" step="any" {...shared} />}
      {type === 'text' && <input type="text" {...shared} />}
      <p id={`${id}-about`} class={error.value === undefined ? 'form-note' : 'form-note error'}>
        {error.value ?? explanation}
      </p>
    </div>
  )
}
