import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'

interface FieldProps<Value> {
  readonly label: string
  /** One sentence. */
  readonly explanation: string
  readonly value: Value | undefined
  readonly placeholder: string
  /** @returns what is wrong with the value; undefined where it is taken */
  readonly check: (value: Value) => string | undefined | Promise<string | undefined>
  /** Called with what is taken, or undefined where the field is empty. */
  readonly onChange: (value: Value | undefined) => void
}

interface FieldKind<Value> {
  readonly type: 'number' | 'text' | 'textarea'
  /** Undefined where what was typed is no value at all. */
  readonly read: (typed: string) => Value | undefined
}

export function NumberField(props: FieldProps<number>) {
  return <Field {...props} type="number" read={(typed) => (typed === '' ? undefined : Number(typed))} />
}

export function TextField({ type = 'text', ...props }: FieldProps<string> & { type?: 'text' | 'textarea' }) {
  return <Field {...props} type={type} read={(typed) => typed.trim() || undefined} />
}

/** What is refused stays in the field with the reason below it, and what was set before stays in force. */
function Field<Value extends string | number>(props: FieldProps<Value> & FieldKind<Value>) {
  const { label, explanation, value, placeholder, check, onChange, type, read } = props
  const complaint = useSignal<string | undefined>(undefined)
  const id = useId()
  const take = async ({ currentTarget }: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => {
    const typed = currentTarget.value
    if (currentTarget.validity.badInput) return (complaint.value = 'This is not a number.')
    const changed = read(typed)
    const found = changed === undefined ? undefined : await check(changed)
    // More may have been typed since.
    if (currentTarget.value !== typed) return undefined
    complaint.value = found
    if (found === undefined) onChange(changed)
    return undefined
  }
  const shared = {
    id,
    placeholder,
    spellcheck: false,
    defaultValue: value === undefined ? '' : String(value),
    'aria-describedby': `${id}-about`,
    'aria-invalid': complaint.value !== undefined,
    onInput: (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => void take(event),
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {type === 'textarea' && <textarea rows={3} dir="auto" {...shared} />}
      {type === 'number' && <input type="number" step="any" {...shared} />}
      {type === 'text' && <input type="text" {...shared} />}
      <p id={`${id}-about`} class={complaint.value === undefined ? 'form-note' : 'form-note complaint'}>
        {complaint.value ?? explanation}
      </p>
    </div>
  )
}
