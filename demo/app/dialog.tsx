import type { Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { Icon } from './icons.js'

interface DialogProps {
  readonly isOpen: Signal<boolean>
  readonly title: string
  readonly class: string
  readonly children: ComponentChildren
}

/** A modal dialog. The browser traps the focus inside, closes the dialog on Escape, and then restores the focus. */
export function Dialog({ isOpen, title, class: className, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  const isShown = isOpen.value
  useEffect(() => {
    if (isShown) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isShown])
  return (
    <dialog
      ref={dialog}
      class={className}
      aria-labelledby={titleId}
      onClose={() => (isOpen.value = false)}
      onClick={({ target }) => {
        // The content covers the whole dialog, so a click whose target is the dialog itself hit the backdrop.
        if (target === dialog.current) isOpen.value = false
      }}
    >
      {isShown && (
        <>
          <header>
            <h2 id={titleId}>{title}</h2>
            <button
              type="button"
              class="action"
              aria-label={`Close ${title.toLowerCase()}`}
              onClick={() => (isOpen.value = false)}
            >
              <Icon name="close" />
            </button>
          </header>
          {children}
        </>
      )}
    </dialog>
  )
}
