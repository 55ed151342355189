import type { Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

interface StreamFormProps {
  readonly prompt: Signal<string>
  /** What else is chosen before it begins. */
  readonly children: ComponentChildren
  /** On the button that begins. */
  readonly begin: string
  readonly canBegin: boolean
  readonly canStop: boolean
  readonly onBegin: () => void
  readonly onStop: () => void
}

/** Where a prompt is written, streamed and stopped. */
export function StreamForm({ prompt, children, begin, canBegin, canStop, onBegin, onStop }: StreamFormProps) {
  return (
    <form
      class="race-form"
      onSubmit={(event) => {
        event.preventDefault()
        onBegin()
      }}
    >
      <label class="wide">
        Prompt
        <input
          type="text"
          required
          value={prompt.value}
          onInput={({ currentTarget }) => (prompt.value = currentTarget.value)}
        />
      </label>
      {children}
      <button type="submit" class="primary" disabled={!canBegin}>
        {begin}
      </button>
      <button type="button" class="quiet" disabled={!canStop} onClick={onStop}>
        Stop
      </button>
    </form>
  )
}
