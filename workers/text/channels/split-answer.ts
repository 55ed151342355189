import type { ToolCallDelta } from '../../../lib/contract/worker-api.js'
import type { CallSink } from './call-reader.js'

/** A part of an answer, in the order of the raw text. */
export type AnswerPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** Marks, the white space around them and the text of calls: a part of the raw text only. */
  | { readonly kind: 'mark'; readonly text: string }
  /** A control token inside the text that is no mark. Only stop strings can match it. It is not in the raw text. */
  | { readonly kind: 'control'; readonly text: string }
  | { readonly kind: 'call'; readonly delta: ToolCallDelta }

/**
 * Splits an answer into its channels while it arrives. The texts of the parts `text`, `reasoning` and `mark`, joined, are the
 * answer as the model wrote it. The same answer gives the same channels, wherever it is split.
 */
export interface AnswerSplitter {
  push(text: string): readonly AnswerPart[]
  /** Adds a control token, which `push` never gets. */
  pushControl(token: string): readonly AnswerPart[]
  /** Ends the answer. Returns what is held back. Does not start a call. */
  flush(): readonly AnswerPart[]
  /** The channel of the next token, as far as known. */
  readonly channel: 'text' | 'reasoning' | 'tool-calls'
  /** How many tool calls have started. */
  readonly calls: number
}

/** Collects the parts of one step, and joins neighbors of one kind. */
export interface PartCollector extends CallSink {
  add(kind: 'text' | 'reasoning' | 'mark', text: string): void
  addControl(token: string): void
  readonly calls: number
  /** Returns the parts since the last call. */
  take(): readonly AnswerPart[]
}

/**
 * @param createId returns the id of a call
 * @param firstCall the number of the first call
 */
export function createPartCollector(createId: () => string, firstCall: number): PartCollector {
  let parts: AnswerPart[] = []
  let calls = firstCall
  return {
    get calls() {
      return calls
    },
    add(kind, text) {
      if (text === '') return
      const last = parts.at(-1)
      if (last?.kind === kind) parts[parts.length - 1] = { kind, text: last.text + text }
      else parts.push({ kind, text })
    },
    addControl: (text) => void parts.push({ kind: 'control', text }),
    startCall(name) {
      parts.push({ kind: 'call', delta: { index: calls, id: createId(), name, argumentsDelta: '' } })
      calls += 1
    },
    addArguments(json) {
      const index = parts.findLastIndex(({ kind }) => kind === 'call')
      const last = parts[index]
      if (last?.kind === 'call' && last.delta.index === calls - 1) {
        const delta = { ...last.delta, argumentsDelta: last.delta.argumentsDelta + json }
        parts[index] = { kind: 'call', delta }
      } else parts.push({ kind: 'call', delta: { index: calls - 1, argumentsDelta: json } })
    },
    take() {
      const taken = parts
      parts = []
      return taken
    },
  }
}
