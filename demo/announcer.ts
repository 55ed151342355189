import { pageElement } from './page-element.js'

/** Tells a screen reader what the eye sees. */
export interface Announcer {
  /** Says one thing about the page, when the reader is free. */
  say(status: string): void
  /** Reads an answer out by sentences while it is written. */
  startAnswer(): SpokenAnswer
}

interface SpokenAnswer {
  add(text: string): void
  /** Reads the last, perhaps unfinished, sentence. */
  finish(): void
}

export function createAnnouncer(): Announcer {
  const status = pageElement('status', HTMLElement)
  const spoken = pageElement('spoken-answer', HTMLElement)
  return {
    say: (text) => (status.textContent = text),
    startAnswer() {
      spoken.replaceChildren()
      status.textContent = ''
      let pending = ''
      const speak = (sentence: string) => {
        if (sentence.trim() === '') return
        const line = document.createElement('p')
        line.textContent = sentence
        spoken.append(line)
      }
      return {
        add(text) {
          const { sentences, rest } = takeSentences(pending + text)
          pending = rest
          sentences.forEach(speak)
        },
        finish() {
          speak(pending)
          pending = ''
        },
      }
    },
  }
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' })

/** The sentences of a growing text that are over, and what may still go on. */
function takeSentences(text: string): {
  readonly sentences: readonly string[]
  readonly rest: string
} {
  const segments = Array.from(segmenter.segment(text), ({ segment }) => segment)
  const rest = segments.pop() ?? ''
  return { sentences: segments, rest }
}
