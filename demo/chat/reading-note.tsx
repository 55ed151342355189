import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { RunMeter } from '../figures/meter-runs.js'
import type { WrittenAnswer } from './reasoning.js'

/** A short message is read at once: a note would only flicker. */
const patienceMs = 1000

interface ReadingNoteProps {
  /** How much is read, on runtimes that report it. */
  readonly prefill: RunMeter['prefill']
  readonly written: WrittenAnswer
  readonly isServer: boolean
}

/** Says that the model still reads a long message, and how much of it. Nothing from the first token on. */
export function ReadingNote({ prefill, written, isServer }: ReadingNoteProps) {
  const isLate = useSignal(false)
  useEffect(() => {
    const timer = setTimeout(() => (isLate.value = true), patienceMs)
    return () => clearTimeout(timer)
  }, [])
  const { value: progress } = prefill
  const hasStarted =
    written.text.value !== '' || written.reasoning.value !== '' || written.rounds.value.length > 0
  if (hasStarted || (!progress && !isLate.value)) return null
  const share = progress && ` ${Math.floor((progress.computedTokens / progress.totalTokens) * 100)} %`
  return <p class="reading">{isServer ? 'Waiting for the server…' : `Reading your message…${share ?? ''}`}</p>
}
