import { signal, type ReadonlySignal } from '@preact/signals'

/** Announces changes to screen readers. */
export interface Announcer {
  /** Announces a status message politely: the screen reader finishes its current sentence first. */
  announce(status: string): void
  /** Announces an answer sentence by sentence while it streams. */
  startAnswer(): SpokenAnswer
  readonly status: ReadonlySignal<string>
  readonly sentences: ReadonlySignal<readonly string[]>
}

interface SpokenAnswer {
  add(text: string): void
  /** Announces the last sentence, even if it is incomplete. */
  finish(): void
}

export function createAnnouncer(): Announcer {
  const status = signal('')
  const sentences = signal<readonly string[]>([])
  return {
    status,
    sentences,
    announce: (text) => (status.value = text),
    startAnswer() {
      sentences.value = []
      status.value = ''
      let pending = ''
      const speak = (spoken: readonly string[]) => {
        const nonEmpty = spoken.filter((sentence) => sentence.trim() !== '')
        if (nonEmpty.length > 0) sentences.value = [...sentences.value, ...nonEmpty]
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

/** The live regions that screen readers read out. */
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

/** Splits a growing text into its complete sentences and the rest, which may still grow. */
function takeSentences(text: string): { readonly complete: readonly string[]; readonly rest: string } {
  const segments = Array.from(segmenter.segment(text), ({ segment }) => segment)
  const rest = segments.pop() ?? ''
  return { complete: segments, rest }
}
