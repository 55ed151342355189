import type { JsonSchema } from '../../../lib/contract/request.js'

/** Takes what a reader finds in the text of a tool call. */
export interface CallSink {
  /** A call starts. */
  startCall(name: string): void
  /** Adds a part of the arguments, as JSON text, to the call that started last. */
  addArguments(json: string): void
}

/**
 * What became of a piece: `more`: the call goes on; `done`: the piece ended the call; `other`: the call has ended before this
 * piece; `wrong`: this is not a call. `wrong` comes only before the first `startCall`.
 */
export type ReadOutcome = 'more' | 'done' | 'other' | 'wrong'

/** Reads the text of a tool call, without the mark before it. */
export interface CallReader {
  /** @param piece one character, or a mark */
  read(piece: string, isMark: boolean): ReadOutcome
  /** Ends the call where the answer ends. */
  end(): void
}

/** The properties of the arguments, for syntaxes that do not write what is a text. */
export type FindSchema = (name: string) => JsonSchema | undefined

/** The maximum length of a call's text before its name is known. Longer text is not a call. */
export const maxHeaderLength = 256

/** The maximum length of a value that is held back because only its end shows its type. */
export const maxHeldValueLength = 2 ** 16
