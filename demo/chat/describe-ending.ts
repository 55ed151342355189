import type { ErrorCode, FinishReason } from 'rivulet'
import type { Answer } from 'rivulet/chat'

export interface AnswerNote {
  readonly kind: 'quiet' | 'error'
  readonly text: string
  readonly code?: ErrorCode
}

/**
 * What is said below an answer about how it ended; nothing where it just ended.
 * @param isCut the page was closed while it was written
 */
export function describeEnding({ text, state }: Answer, isCut: boolean): AnswerNote | undefined {
  if (state.kind === 'failed') return { kind: 'error', text: state.error.message, code: state.error.code }
  if (state.kind !== 'finished') return undefined
  if (isCut) return { kind: 'quiet', text: 'Cut off here: the page was closed meanwhile.' }
  if (state.finishReason === 'stop' && text === '')
    return { kind: 'quiet', text: 'The model ended its answer at once.' }
  const note = finishNotes[state.finishReason]
  return note === undefined ? undefined : { kind: 'quiet', text: note }
}

const finishNotes = {
  stop: undefined,
  cancelled: 'Stopped.',
  length: 'Cut off here: no more tokens were allowed, or the model’s context was full.',
} satisfies Record<FinishReason, string | undefined>
