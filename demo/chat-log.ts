import { pageElement } from './page-element.js'
import { createTypewriter } from './typewriter.js'

/** The conversation as it stands on the page. Whatever was typed or generated is text there, never markup. */
export interface ChatLog {
  addQuestion(text: string): void
  addAnswer(): AnswerView
  /** Draws the line above which the model no longer remembers anything, behind this many exchanges. */
  markForgotten(exchanges: number, contextLength: number | undefined): void
  isEmpty(): boolean
  clear(): void
}

/** One answer while it is written. */
interface AnswerView {
  write(text: string): void
  /** Draws what has arrived at once: whoever stops an answer wants it to stand still. */
  flush(): void
  /** Resolves when all of the text is on the page, with a note below it about how it ended. */
  finish(note?: AnswerNote): Promise<void>
}

export interface AnswerNote {
  readonly kind: 'quiet' | 'error'
  readonly text: string
  readonly code?: string | undefined
}

/** Whoever scrolls back to within this distance of the end follows the text again. */
const followWithinPx = 32

export function createChatLog(): ChatLog {
  const turns = pageElement('turns', HTMLOListElement)
  const forgotten = document.createElement('li')
  forgotten.className = 'forgotten'
  const page = document.documentElement
  let isFollowing = true
  let previousTop = 0

  const onScroll = () => {
    const top = page.scrollTop
    // The page itself only ever scrolls down: up is a reader who wants to see something else, however little it is.
    if (top < previousTop) isFollowing = false
    else if (page.scrollHeight - page.clientHeight - top < followWithinPx) isFollowing = true
    previousTop = top
  }
  addEventListener('scroll', onScroll, { passive: true })
  const followText = () => {
    if (isFollowing) page.scrollTop = page.scrollHeight
  }

  function addTurn(kind: 'question' | 'answer', speaker: string): HTMLElement {
    const turn = document.createElement('li')
    turn.className = `turn ${kind}`
    const heading = document.createElement('h2')
    heading.className = 'visually-hidden'
    heading.textContent = speaker
    const text = document.createElement('div')
    text.className = 'turn-text'
    text.dir = 'auto'
    turn.append(heading, text)
    turns.append(turn)
    return text
  }

  return {
    addQuestion(text) {
      addTurn('question', 'You').textContent = text
      isFollowing = true
      followText()
    },
    addAnswer() {
      const text = addTurn('answer', 'Answer')
      text.dataset.testid = 'answer'
      text.classList.add('writing')
      followText()
      const typewriter = createTypewriter(text, followText)
      return {
        write: typewriter.write,
        flush: typewriter.flush,
        async finish(note) {
          await typewriter.finish()
          text.classList.remove('writing')
          if (note) text.after(createNote(note))
          followText()
        },
      }
    },
    markForgotten(exchanges, contextLength) {
      if (exchanges === 0) return forgotten.remove()
      const size = contextLength === undefined ? 'is full' : `holds ${contextLength} tokens`
      forgotten.textContent = `The model no longer remembers what is above: its context ${size}.`
      const questions = turns.querySelectorAll('.question')
      turns.insertBefore(forgotten, questions[exchanges] ?? null)
    },
    isEmpty: () => turns.childElementCount === 0,
    clear: () => turns.replaceChildren(),
  }
}

function createNote({ kind, text, code }: AnswerNote): HTMLElement {
  const note = document.createElement('p')
  note.className = `note ${kind}`
  note.append(text)
  if (code !== undefined) {
    const codeElement = document.createElement('code')
    codeElement.textContent = code
    note.append(' ', codeElement)
  }
  return note
}
