import { pageElement } from './page-element.js'

/** Where a message is written, sent, and its answer stopped. */
export interface Composer {
  /** Whether a message can be sent, an answer be stopped, or neither. Writing is possible at any time. */
  setMode(mode: 'send' | 'stop' | 'wait'): void
  /** Puts the cursor into the field, unless that would open an on-screen keyboard unasked. */
  focus(): void
}

export function createComposer(onSend: (text: string) => void, onStop: () => void): Composer {
  const form = pageElement('composer', HTMLFormElement)
  const prompt = pageElement('prompt', HTMLTextAreaElement)
  const send = pageElement('send', HTMLButtonElement)
  const stop = pageElement('stop', HTMLButtonElement)
  const finePointer = matchMedia('(any-pointer: fine)')
  let mode: 'send' | 'stop' | 'wait' = 'wait'

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const text = prompt.value.trim()
    if (mode !== 'send' || text === '') return
    prompt.value = ''
    onSend(text)
  })
  prompt.addEventListener('keydown', (event) => {
    // While an input method composes, Enter belongs to it (Safari says so only by the key code 229).
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
    event.preventDefault()
    form.requestSubmit()
  })
  stop.addEventListener('click', onStop)
  document.addEventListener('keydown', (event) => {
    const isInDialog = event.target instanceof Element && event.target.closest('dialog')
    if (event.key === 'Escape' && !event.isComposing && !isInDialog && mode === 'stop') onStop()
  })

  return {
    setMode(next) {
      mode = next
      const hadFocus = document.activeElement === send || document.activeElement === stop
      stop.hidden = mode !== 'stop'
      send.hidden = mode === 'stop'
      send.disabled = mode !== 'send'
      if (hadFocus) (mode === 'stop' ? stop : prompt).focus()
    },
    focus() {
      if (finePointer.matches) prompt.focus()
    },
  }
}
