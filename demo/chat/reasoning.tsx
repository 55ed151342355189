import { useSignal, type ReadonlySignal } from '@preact/signals'
import { useLayoutEffect } from 'preact/hooks'
import type { Answer, ToolRound } from 'rivulet/chat'
import { isBeingWritten } from './answer-text.js'

/** What an answer has so far; grows while it streams. */
export interface WrittenAnswer {
  readonly text: ReadonlySignal<string>
  readonly reasoning: ReadonlySignal<string>
  readonly rounds: ReadonlySignal<readonly ToolRound[]>
  /** Undefined before the value starts, and for an answer that is text. */
  readonly value: ReadonlySignal<unknown>
}

interface ReasoningProps {
  readonly answer: Answer
  readonly written: Pick<WrittenAnswer, 'text' | 'reasoning'>
  /** Called after every change of the visible text. */
  readonly onDraw: () => void
}

/** The model's reasoning before its answer: folded, with the time that it has taken. Nothing if there is none. */
export function Reasoning({ answer, written, onDraw }: ReasoningProps) {
  const isWriting = isBeingWritten(answer)
  const reasoning = isWriting ? written.reasoning.value : (answer.reasoning ?? '')
  const isThinking = isWriting && reasoning !== '' && written.text.value === ''
  const seconds = useSecondsWhile(isThinking)
  useLayoutEffect(onDraw)
  if (reasoning === '') return null
  return (
    <details class={isThinking ? 'reasoning thinking' : 'reasoning'} data-testid="reasoning">
      <summary>{describe(isThinking, seconds)}</summary>
      <p class="plain-text" dir="auto">
        {reasoning.trim()}
      </p>
    </details>
  )
}

function describe(isThinking: boolean, seconds: number | undefined): string {
  if (isThinking) return `Thinking for ${seconds ?? 0} s`
  return seconds === undefined ? 'Reasoning' : `Thought for ${seconds} s`
}

/** Returns how long `isRunning` has been true, in whole seconds; undefined if it never was. */
function useSecondsWhile(isRunning: boolean): number | undefined {
  const seconds = useSignal<number | undefined>(undefined)
  useLayoutEffect(() => {
    if (!isRunning) return
    const startMs = performance.now()
    const measure = () => (seconds.value = Math.floor((performance.now() - startMs) / 1000))
    measure()
    const timer = setInterval(measure, 1000)
    return () => {
      clearInterval(timer)
      measure()
    }
  }, [isRunning])
  return seconds.value
}
