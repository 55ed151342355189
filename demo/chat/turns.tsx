import { useMemo } from 'preact/hooks'
import type { ModelInfo } from 'rivulet'
import type { StickyScroll } from '../sticky-scroll.js'
import { AnswerTurn } from './answer.js'
import { QuestionTurn } from './question.js'
import type { ShownTurn, Thread } from './thread.js'

interface TurnsProps {
  readonly thread: Thread
  /** The loaded model; undefined while none is loaded. */
  readonly model: Pick<ModelInfo, 'contextLength' | 'supports'> | undefined
  readonly scroll: StickyScroll
  readonly announce: (status: string) => void
  /** Opens the list of models. */
  readonly onModels: () => void
  readonly ask: (start: (thread: Thread) => Promise<void>) => void
}

/** The turns of the open conversation. Typed and generated text is shown as text, never as markup. */
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

/** Renders again only when its own data changes. */
function Turn({ shown, canContinue, thread, scroll, announce, onModels, ask }: TurnProps) {
  const { turn, isCut, versions } = shown
  return useMemo(() => {
    const onShowVersion = (id: string) => void thread.showVersion(id)
    if (turn.role === 'user') {
      const onEdit = (text: string) => ask(() => thread.edit(turn.id, text))
      return <QuestionTurn {...{ shown, announce, onEdit, onShowVersion }} />
    }
    const onRegenerate = () => ask(() => thread.regenerate(turn.id))
    const onContinue = canContinue ? () => ask(thread.continue) : undefined
    const onDraw = scroll.follow
    const actions = { announce, onDraw, onRegenerate, onContinue, onShowVersion, onModels }
    return <AnswerTurn answer={turn} shown={shown} written={thread.written} {...actions} />
  }, [turn, isCut, versions, canContinue])
}

/** Separates the messages that no longer fit into the model's context from those that do. */
function ForgottenLine({ contextLength }: { readonly contextLength: number | undefined }) {
  const context = contextLength === undefined ? 'context' : `context of ${contextLength} tokens`
  return <li class="forgotten">The model’s {context} is full: it no longer sees the messages above.</li>
}
