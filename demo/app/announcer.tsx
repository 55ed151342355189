import { signal, type ReadonlySignal } from '@preact/signals'

/** Tells a screen reader what the eye sees. */
export interface Announcer {
  /** Says one thing about the page, when the reader is free. */
  say(status: string): void
  /** Reads an answer out by sentences while it is written. */
  startAnswer(): SpokenAnswer
  readonly status: ReadonlySignal<string>
  readonly sentences: ReadonlySignal<readonly string[]>
}

interface SpokenAnswer {
  add(text: string): void
  /** Reads the last, perhaps unfinished, sentence. */
  finish(): void
}

export function createAnnouncer(): Announcer {
  const status = signal('')
  const sentences = signal<readonly string[]>([])
  return {
    status,
    sentences,
    say: (text) => (status.value = text),
    startAnswer() {
      sentences.value = []
      status.value = ''
      let pending = ''
      const speak = (spoken: readonly string[]) => {
        const said = spoken.filter((sentence) => sentence.trim() !== '')
        if (said.length > 0) sentences.value = [...sentences.value, ...said]
      }
      return {
        add(text) {
          const { complete, rest } = takeSentences(pending + text)
          pending = rest
          speak(complete)
        },
        finish() {
          speak([pending])
          pending = ''
        },
      }
    },
  }
}

/** Where a screen reader listens. */
export function LiveRegions({ announcer }: { readonly announcer: Announcer }) {
  return (
    <>
      <p class="visually-hidden" role="status">
        {announcer.status}
      </p>
      <div class="visually-hidden" aria-live="polite">
        {announcer.sentences.value.map((sentence, index) => (
          <p key={index}>{sentence}</p>
        ))}
      </div>
    </>
  )
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' })

/** The sentences of a growing text that are over, and what may still go on. */
function takeSentences(text: string): { readonly complete: readonly string[]; readonly rest: string } {
  const segments = Array.from(segmenter.segment(text), ({ segment }) => segment)
  const rest = segments.pop() ?? ''
  return { complete: segments, rest }
}
