import { effect, useSignal, type ReadonlySignal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import type { Answer } from 'rivulet/chat'
import { AnswerMarkdown } from './answer-markdown.js'
import { createTypewriter, type Typewriter } from '../typewriter.js'

interface AnswerTextProps {
  readonly answer: Answer
  /** The answer's text; grows while the answer streams. */
  readonly writtenText: ReadonlySignal<string>
  /** Called after every change of the visible text. */
  readonly onDraw: () => void
}

export function isBeingWritten({ state }: Answer): boolean {
  return state.kind === 'waiting' || state.kind === 'streaming'
}

/** An answer's text: animated while the answer streams, shown immediately otherwise. */
export function AnswerText({ answer, writtenText, onDraw }: AnswerTextProps) {
  const isWriting = isBeingWritten(answer)
  const shown = useSignal(answer.text)
  const writer = useRef<GrowingText>(undefined)

  useLayoutEffect(() => {
    if (!isWriting) return
    const growing = createGrowingText(shown.peek(), (text) => (shown.value = text))
    writer.current = growing
    return effect(() => growing.grow(writtenText.value))
  }, [isWriting])
  useLayoutEffect(() => {
    if (isWriting || !writer.current) return
    writer.current.grow(answer.text)
    // After Stop or a failure the text must not move any more.
    const { state } = answer
    if (state.kind === 'failed' || (state.kind === 'finished' && state.finishReason === 'cancelled'))
      writer.current.flush()
  }, [isWriting])
  useLayoutEffect(onDraw)

  const isDone = !isWriting && shown.value.length === answer.text.length
  return (
    <div class={isDone ? 'turn-text' : 'turn-text writing'} dir="auto" data-testid="answer">
      <AnswerMarkdown text={shown.value} isDone={isDone} />
    </div>
  )
}

interface GrowingText extends Pick<Typewriter, 'flush'> {
  /** @param text the whole text: the previous text and what was added to it */
  grow(text: string): void
}

/** @param start the text that is visible already */
function createGrowingText(start: string, draw: (text: string) => void): GrowingText {
  const typewriter = createTypewriter((text) => draw(start + text))
  let length = start.length
  return {
    grow(text) {
      if (text.length > length) typewriter.write(text.slice(length))
      length = Math.max(length, text.length)
    },
    flush: typewriter.flush,
  }
}
