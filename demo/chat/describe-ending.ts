import type { ErrorCode, FinishReason } from 'rivulet'
import type { Answer } from 'rivulet/chat'

export interface AnswerNote {
  readonly kind: 'quiet' | 'error'
  readonly text: string
  readonly code?: ErrorCode
}

/**
 * Returns the note below an answer that says how it ended; undefined if it ended normally.
 * @param isCut whether the page was closed while the answer was streaming
 */
export function describeEnding({ text, state }: Answer, isCut: boolean): AnswerNote | undefined {
  if (state.kind === 'failed') return { kind: 'error', text: state.error.message, code: state.error.code }
  if (state.kind !== 'finished') return undefined
  if (isCut)
    return { kind: 'quiet', text: 'Interrupted: the page was closed before the answer was complete.' }
  if (state.finishReason === 'stop' && text === '')
    return { kind: 'quiet', text: 'The model returned an empty answer.' }
  const note = finishNotes[state.finishReason]
  return note === undefined ? undefined : { kind: 'quiet', text: note }
}

const finishNotes = {
  stop: undefined,
  cancelled: 'Stopped.',
  length: 'Cut off: the answer reached the maximum number of tokens, or the model’s context is full.',
  'tool-calls': 'The model called a tool instead of answering.',
  'content-filter': 'Ended by a content filter of the server.',
} satisfies Record<FinishReason, string | undefined>
