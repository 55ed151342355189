import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { useGrowingField } from '../app/grow-field.js'

interface ComposerProps {
  /** Whether an answer is streaming. */
  readonly isAnswering: boolean
  readonly onSend: (text: string) => void
  /** Called when the user has typed, and then paused for a moment. Not called while an answer streams. */
  readonly onTyped: () => void
  readonly onStop: () => void
  /** Shown below the text. */
  readonly options: ComponentChildren
  /** Floats above the message field. */
  readonly children?: ComponentChildren
}

/** The pause after which `onTyped` is called, in milliseconds. */
const typingPauseMs = 200

const finePointer = matchMedia('(any-pointer: fine)')

/** Focuses the message field, except on touch devices: there the focus would open the on-screen keyboard. */
export function focusPrompt(): void {
  if (finePointer.matches) document.getElementById('prompt')?.focus({ preventScroll: true })
}

/** The message field with Send, or with Stop while an answer streams. The user can type at any time. */
export function Composer({ isAnswering, onSend, onTyped, onStop, options, children }: ComposerProps) {
  const text = useSignal('')
  const field = useRef<HTMLTextAreaElement>(null)
  useGrowingField(field, text.value)
  const button = useRef<HTMLButtonElement>(null)
  const hadFocus = useRef(false)
  hadFocus.current = button.current !== null && document.activeElement === button.current
  // Send and Stop replace each other: move the focus to the new button, or to the field after the answer.
  useLayoutEffect(() => {
    if (!hadFocus.current) return
    if (isAnswering) button.current?.focus()
    else document.getElementById('prompt')?.focus()
  }, [isAnswering])

  const pause = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(pause.current), [isAnswering])
  const noteTyped = () => {
    clearTimeout(pause.current)
    if (!isAnswering) pause.current = setTimeout(onTyped, typingPauseMs)
  }

  const send = () => {
    const question = text.value.trim()
    if (isAnswering || question === '') return
    clearTimeout(pause.current)
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
          ref={field}
          rows={1}
          placeholder="Send a message"
          aria-describedby="prompt-hint"
          enterkeyhint="send"
          autocomplete="off"
          value={text}
          onInput={({ currentTarget }) => {
            text.value = currentTarget.value
            noteTyped()
          }}
          onKeyDown={(event) => {
            // During IME composition Enter belongs to the input method (Safari reports it only as key code 229).
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
            event.preventDefault()
            send()
          }}
        />
        {options}
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
        <kbd>Enter</kbd> to send, <kbd>Shift</kbd>+<kbd>Enter</kbd> for a new line, <kbd>Esc</kbd> to stop.
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
