import type { Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

interface StreamFormProps {
  readonly prompt: Signal<string>
  /** Further fields. */
  readonly children: ComponentChildren
  readonly startLabel: string
  readonly canStart: boolean
  readonly canStop: boolean
  readonly onStart: () => void
  readonly onStop: () => void
}

/** A form with a prompt, a start button and a stop button. */
export function StreamForm({
  prompt,
  children,
  startLabel,
  canStart,
  canStop,
  onStart,
  onStop,
}: StreamFormProps) {
  return (
    <form
      class="race-form"
      onSubmit={(event) => {
        event.preventDefault()
        onStart()
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
      <button type="submit" class="primary" disabled={!canStart}>
        {startLabel}
      </button>
      <button type="button" class="quiet" disabled={!canStop} onClick={onStop}>
        Stop
      </button>
    </form>
  )
}
