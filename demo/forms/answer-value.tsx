import { effect, signal, useSignal, type ReadonlySignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { useLayoutEffect } from 'preact/hooks'
import type { Answer } from 'rivulet/chat'
import { isBeingWritten } from '../chat/answer-text.js'

interface AnswerValueProps {
  readonly answer: Answer
  /** The answer's value; grows while the answer streams. */
  readonly writtenValue: ReadonlySignal<unknown>
  /** Called after every change of the visible value. */
  readonly onDraw: () => void
}

type Tree = ComponentType<{ readonly value: unknown; readonly isGrowing: boolean }>

const loaded = signal<Tree | undefined>(undefined)

/** The value of an answer in a form, as a tree that grows at most once per frame. The tree's code loads with the first value. */
export function AnswerValue({ answer, writtenValue, onDraw }: AnswerValueProps) {
  const isWriting = isBeingWritten(answer)
  const shown = useSignal(writtenValue.peek())
  useLayoutEffect(() => {
    if (!isWriting) return
    let frame = 0
    const stop = effect(() => {
      const { value } = writtenValue
      cancelAnimationFrame(frame)
      frame = requestAnimationFrame(() => (shown.value = value))
    })
    return () => {
      stop()
      cancelAnimationFrame(frame)
    }
  }, [isWriting])
  useLayoutEffect(onDraw)

  const value = isWriting ? shown.value : answer.value
  const ValueTree = loaded.value
  if (!ValueTree) void loadTree()
  return (
    <div class="answer-value" data-testid="value">
      {ValueTree && <ValueTree value={value} isGrowing={isWriting} />}
      {isValid(answer) && (
        <>
          <p class="value-valid">Valid: the answer has the form that you chose.</p>
          <details class="value-json">
            <summary>JSON</summary>
            <pre tabIndex={0} role="region" aria-label="JSON">
              {JSON.stringify(value, null, 2)}
            </pre>
          </details>
        </>
      )}
    </div>
  )
}

/** Whether the model ended the answer: its value is then complete and valid. */
function isValid({ state }: Answer): boolean {
  return state.kind === 'finished' && state.finishReason === 'stop'
}

async function loadTree(): Promise<void> {
  const { ValueTree } = await import('./value-tree.js')
  loaded.value = ValueTree
}
