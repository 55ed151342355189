import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

interface ComposerProps {
  /** Whether an answer is being written. */
  readonly isAnswering: boolean
  readonly onSend: (text: string) => void
  readonly onStop: () => void
  /** What floats above it. */
  readonly children?: ComponentChildren
}

const finePointer = matchMedia('(any-pointer: fine)')

/** Puts the cursor into the message field, unless that would open an on-screen keyboard unasked. */
export function focusPrompt(): void {
  if (finePointer.matches) document.getElementById('prompt')?.focus()
}

/** Where a message is written, sent, and its answer stopped. Writing is possible at any time. */
export function Composer({ isAnswering, onSend, onStop, children }: ComposerProps) {
  const text = useSignal('')
  const button = useRef<HTMLButtonElement>(null)
  const hadFocus = useRef(false)
  hadFocus.current = button.current !== null && document.activeElement === button.current
  // The button that was pressed is gone: what takes its place takes the focus.
  useLayoutEffect(() => {
    if (!hadFocus.current) return
    if (isAnswering) button.current?.focus()
    else document.getElementById('prompt')?.focus()
  }, [isAnswering])

  const send = () => {
    const question = text.value.trim()
    if (isAnswering || question === '') return
    text.value = ''
    onSend(question)
  }

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      {children}
      <Waterline />
      <div class="entry">
        <label class="visually-hidden" for="prompt">
          Message
        </label>
        <textarea
          id="prompt"
          rows={2}
          placeholder="Write a message"
          aria-describedby="prompt-hint"
          enterkeyhint="send"
          autocomplete="off"
          value={text}
          onInput={({ currentTarget }) => (text.value = currentTarget.value)}
          onKeyDown={(event) => {
            // While an input method composes, Enter belongs to it (Safari says so only by the key code 229).
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
            event.preventDefault()
            send()
          }}
        />
        {isAnswering ? (
          <button key="stop" type="button" class="primary stop" ref={button} onClick={onStop}>
            Stop
          </button>
        ) : (
          <button key="send" type="submit" class="primary send" ref={button}>
            Send
          </button>
        )}
      </div>
      <p class="hint" id="prompt-hint">
        <kbd>Enter</kbd> sends, <kbd>Shift</kbd>+<kbd>Enter</kbd> starts a new line, <kbd>Esc</kbd> stops the
        answer.
      </p>
    </form>
  )
}

function Waterline() {
  return (
    <div class="waterline" aria-hidden="true">
      <svg height="8">
        <pattern id="wave" width="48" height="8" patternUnits="userSpaceOnUse">
          <path d="M-48 4q12-5.5 24 0t24 0 24 0 24 0 24 0 24 0" />
        </pattern>
        <rect width="100%" height="8" fill="url(#wave)" />
      </svg>
    </div>
  )
}
