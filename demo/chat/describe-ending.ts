import type { ErrorCode, FinishReason } from 'rivulet'
import type { Answer } from 'rivulet/chat'
import { describeForUser } from '../engine/error-words.js'

export interface AnswerNote {
  readonly text: string
  /** Set if the answer failed. */
  readonly error?: { readonly code: ErrorCode; readonly message: string }
}

/**
 * Returns the note below an answer that says how it ended; undefined if it ended normally.
 * @param isCut whether the page was closed while the answer was streaming
 */
export function describeEnding({ text, state }: Answer, isCut: boolean): AnswerNote | undefined {
  if (state.kind === 'failed') return { text: describeForUser(state.error.code), error: state.error }
  if (state.kind !== 'finished') return undefined
  if (isCut) return { text: 'Interrupted: the page was closed before the answer was complete.' }
  if (state.finishReason === 'stop' && text === '') return { text: 'The model returned an empty answer.' }
  const note = finishNotes[state.finishReason]
  return note === undefined ? undefined : { text: note }
}

const finishNotes = {
  stop: undefined,
  cancelled: 'Stopped.',
  length: 'Cut off: the answer reached the maximum number of tokens, or the model’s context is full.',
  'tool-calls': 'The model called a tool instead of answering.',
  'content-filter': 'Ended by a content filter of the server.',
} satisfies Record<FinishReason, string | undefined>
