import { useMemo } from 'preact/hooks'
import type { ModelInfo } from 'rivulet'
import type { StickyScroll } from '../sticky-scroll.js'
import { AnswerTurn } from './answer.js'
import { QuestionTurn } from './question.js'
import type { ShownTurn, Thread } from './thread.js'

interface TurnsProps {
  readonly thread: Thread
  /** Of the engine that answers next; undefined while there is none. */
  readonly model: Pick<ModelInfo, 'contextLength' | 'supports'> | undefined
  readonly scroll: StickyScroll
  readonly say: (status: string) => void
  readonly ask: (begin: (thread: Thread) => Promise<void>) => void
}

/** The conversation as it is shown. Whatever was typed or generated is text there, never markup. */
export function Turns({ model, ...shared }: TurnsProps) {
  const forgotten = shared.thread.forgottenTurns.value
  const turns = shared.thread.turns.value
  return (
    <ol class="turns">
      {turns.flatMap((shown, index) => [
        index > 0 && index === forgotten && (
          <ForgottenLine key="forgotten" contextLength={model?.contextLength} />
        ),
        <Turn
          key={shown.turn.id}
          canContinue={model?.supports.continuation === true && index === turns.length - 1}
          shown={shown}
          {...shared}
        />,
      ])}
    </ol>
  )
}

interface TurnProps extends Omit<TurnsProps, 'model'> {
  readonly shown: ShownTurn
  readonly canContinue: boolean
}

/** Drawn again only when something of it has changed. */
function Turn({ shown, canContinue, thread, scroll, say, ask }: TurnProps) {
  const { turn, isCut, versions } = shown
  return useMemo(() => {
    const onShowVersion = (id: string) => void thread.showVersion(id)
    if (turn.role === 'user') {
      const onEdit = (text: string) => ask(() => thread.edit(turn.id, text))
      return <QuestionTurn {...{ shown, say, onEdit, onShowVersion }} />
    }
    const onRegenerate = () => ask(() => thread.regenerate(turn.id))
    const onContinue = canContinue ? () => ask(thread.continue) : undefined
    const { writtenText } = thread
    const onDraw = scroll.follow
    const does = { say, onDraw, onRegenerate, onContinue, onShowVersion }
    return <AnswerTurn answer={turn} shown={shown} writtenText={writtenText} {...does} />
  }, [turn, isCut, versions, canContinue])
}

/** The line above which the model no longer remembers anything. */
function ForgottenLine({ contextLength }: { readonly contextLength: number | undefined }) {
  const size = contextLength === undefined ? 'is full' : `holds ${contextLength} tokens`
  return <li class="forgotten">The model no longer remembers what is above: its context {size}.</li>
}
