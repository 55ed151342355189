import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'

interface ExplainedProps {
  readonly label: string
  readonly explanation: string
}

/** A name with an explanation, which shows on hover, focus and touch, closes on Escape, and is read out by screen readers. */
export function Explained({ label, explanation }: ExplainedProps) {
  const isOpen = useSignal(false)
  const id = useId()
  const open = () => (isOpen.value = true)
  const close = () => (isOpen.value = false)
  return (
    <span class="explained" onMouseEnter={open} onMouseLeave={close}>
      <button
        type="button"
        aria-describedby={id}
        onFocus={open}
        onClick={open}
        onBlur={close}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || !isOpen.value) return
          // Escape only closes the explanation: it must not stop an answer.
          event.stopPropagation()
          event.preventDefault()
          close()
        }}
      >
        {label}
      </button>
      <span id={id} role="tooltip" hidden={!isOpen.value}>
        {explanation}
      </span>
    </span>
  )
}
