import { useMemo } from 'preact/hooks'
import type { StickyScroll } from '../sticky-scroll.js'
import { AnswerTurn } from './answer.js'
import { QuestionTurn } from './question.js'
import type { ShownTurn, Thread } from './thread.js'

interface TurnsProps {
  readonly thread: Thread
  readonly contextLength: number | undefined
  readonly scroll: StickyScroll
  readonly say: (status: string) => void
}

/** The conversation as it is shown. Whatever was typed or generated is text there, never markup. */
export function Turns({ thread, contextLength, scroll, say }: TurnsProps) {
  const forgotten = thread.forgottenTurns.value
  return (
    <ol class="turns">
      {thread.turns.value.flatMap((shown, index) => [
        index > 0 && index === forgotten && <ForgottenLine key="forgotten" contextLength={contextLength} />,
        <Turn key={shown.turn.id} {...{ shown, thread, scroll, say }} />,
      ])}
    </ol>
  )
}

interface TurnProps extends Omit<TurnsProps, 'contextLength'> {
  readonly shown: ShownTurn
}

/** Drawn again only when something of it has changed. */
function Turn({ shown, thread, scroll, say }: TurnProps) {
  const { turn, isCut, versions } = shown
  return useMemo(() => {
    const onShowVersion = (id: string) => void thread.showVersion(id)
    if (turn.role === 'user') {
      const onEdit = (text: string) => {
        scroll.resume()
        void thread.edit(turn.id, text)
      }
      return <QuestionTurn {...{ shown, say, onEdit, onShowVersion }} />
    }
    const onRegenerate = () => {
      scroll.resume()
      void thread.regenerate(turn.id)
    }
    const { writtenText } = thread
    const onDraw = scroll.follow
    return <AnswerTurn answer={turn} {...{ shown, writtenText, say, onDraw, onRegenerate, onShowVersion }} />
  }, [turn, isCut, versions])
}

/** The line above which the model no longer remembers anything. */
function ForgottenLine({ contextLength }: { readonly contextLength: number | undefined }) {
  const size = contextLength === undefined ? 'is full' : `holds ${contextLength} tokens`
  return <li class="forgotten">The model no longer remembers what is above: its context {size}.</li>
}
