import type { Answer } from 'rivulet/chat'
import { FailureText } from '../engine/failure-text.js'
import { AnswerValue } from '../forms/answer-value.js'
import { ToolRounds } from '../tools/tool-rounds.js'
import { AnswerText, isBeingWritten } from './answer-text.js'
import { describeEnding } from './describe-ending.js'
import { Reasoning, type WrittenAnswer } from './reasoning.js'
import type { ShownTurn } from './thread.js'
import { CopyAction, TurnAction, Versions } from './turn-actions.js'

interface AnswerTurnProps {
  readonly answer: Answer
  readonly shown: ShownTurn
  readonly written: WrittenAnswer
  readonly announce: (status: string) => void
  readonly onDraw: () => void
  readonly onRegenerate: () => void
  /** Undefined if the answer cannot be continued. */
  readonly onContinue: (() => void) | undefined
  readonly onShowVersion: (id: string) => void
  /** Opens the list of models. */
  readonly onModels: () => void
}

export function AnswerTurn(props: AnswerTurnProps) {
  const { answer, shown, written, announce, onDraw, onRegenerate, onContinue, onShowVersion, onModels } =
    props
  const note = describeEnding(answer, shown.isCut)
  return (
    <li class="turn answer">
      <h2 class="visually-hidden">Answer</h2>
      <ToolRounds {...{ answer, written, onDraw }} />
      <Reasoning key={`reasoning of ${answer.id}`} {...{ answer, written, onDraw }} />
      <AnswerContent key={answer.id} {...{ answer, written, onDraw }} />
      {note?.error ? (
        <div class="note error">
          <FailureText {...note.error} />
          <button type="button" class="quiet" onClick={onModels}>
            Choose another model
          </button>
        </div>
      ) : (
        note && <p class="note">{note.text}</p>
      )}
      {!isBeingWritten(answer) && (
        <div class="turn-actions">
          <Versions shown={shown} onChoose={onShowVersion} />
          {answer.text !== '' && <CopyAction text={answer.text} announce={announce} />}
          {onContinue && isUnfinished(answer) && (
            <TurnAction label="Continue" icon="continue" onClick={onContinue} />
          )}
          <TurnAction label="Regenerate" icon="regenerate" onClick={onRegenerate} />
        </div>
      )}
    </li>
  )
}

/** The answer's text, or its value if it has a form. */
function AnswerContent({ answer, written, onDraw }: Pick<AnswerTurnProps, 'answer' | 'written' | 'onDraw'>) {
  const hasValue = (isBeingWritten(answer) ? written.value.value : answer.value) !== undefined
  return hasValue ? (
    <AnswerValue answer={answer} writtenValue={written.value} onDraw={onDraw} />
  ) : (
    <AnswerText answer={answer} writtenText={written.text} onDraw={onDraw} />
  )
}

/** Whether the answer ended early and has text to continue from. The form of a value is not known any more. */
function isUnfinished({ text, value, state }: Answer): boolean {
  return (
    text !== '' &&
    value === undefined &&
    (state.kind === 'failed' || (state.kind === 'finished' && state.finishReason !== 'stop'))
  )
}
