import type { ToolCallDelta } from '../../../lib/contract/worker-api.js'
import { createStopMatcher } from '../stop-strings.js'
import type { AnswerPart, AnswerSplitter } from './split-answer.js'

/** What a step adds to an answer: the fields of a chunk. */
export interface AnswerStep {
  readonly text: string
  readonly reasoning?: string
  readonly toolCalls?: readonly ToolCallDelta[]
  /** As the model wrote it; missing if it equals `text`. */
  readonly raw?: string
  /** True if a stop string ended the answer. */
  readonly hasStopped: boolean
}

/** Reads the text of an answer into the fields of its chunks. */
export interface AnswerReader {
  push(text: string): AnswerStep
  /** Adds a control token, which `push` never gets. */
  pushControl(token: string): AnswerStep
  /** Ends the answer. Returns what is held back. */
  flush(): AnswerStep
  /** True if the next token belongs to the reasoning. */
  readonly isReasoning: boolean
  /** True if the answer calls tools. */
  readonly hasCalls: boolean
}

/**
 * Splits an answer into its channels, and ends it at a stop string. Stop strings are matched in the answer's text only. No
 * stop string goes across a thought or a tool call.
 */
export function createAnswerReader(splitter: AnswerSplitter, stops: readonly string[]): AnswerReader {
  const matcher = createStopMatcher(stops)

  function read(parts: readonly AnswerPart[], isEnd = false): AnswerStep {
    const step = createStepBuilder()
    for (const part of parts) {
      if (part.kind === 'text' || part.kind === 'control') {
        const { text, hasStopped } =
          part.kind === 'text' ? matcher.push(part.text) : matcher.pushControl(part.text)
        step.add('text', text)
        if (hasStopped) return step.build(true)
      } else {
        step.add('text', matcher.flush())
        if (part.kind === 'call') step.addCall(part.delta)
        else step.add(part.kind, part.text)
      }
    }
    if (isEnd) step.add('text', matcher.flush())
    return step.build(false)
  }

  return {
    push: (text) => read(splitter.push(text)),
    pushControl: (token) => read(splitter.pushControl(token)),
    flush: () => read(splitter.flush(), true),
    get isReasoning() {
      return splitter.channel === 'reasoning'
    },
    get hasCalls() {
      return splitter.calls > 0
    },
  }
}

function createStepBuilder() {
  let text = ''
  let reasoning = ''
  let raw = ''
  const toolCalls: ToolCallDelta[] = []
  return {
    add(kind: 'text' | 'reasoning' | 'mark', added: string) {
      raw += added
      if (kind === 'text') text += added
      else if (kind === 'reasoning') reasoning += added
    },
    addCall: (delta: ToolCallDelta) => void toolCalls.push(delta),
    build: (hasStopped: boolean): AnswerStep => ({
      text,
      ...(reasoning !== '' && { reasoning }),
      ...(toolCalls.length > 0 && { toolCalls }),
      ...(raw !== text && { raw }),
      hasStopped,
    }),
  }
}

/** Joins two steps. */
export function joinSteps(first: AnswerStep, second: AnswerStep): AnswerStep {
  const text = first.text + second.text
  const reasoning = (first.reasoning ?? '') + (second.reasoning ?? '')
  const toolCalls = [...(first.toolCalls ?? []), ...(second.toolCalls ?? [])]
  const raw = (first.raw ?? first.text) + (second.raw ?? second.text)
  return {
    text,
    ...(reasoning !== '' && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(raw !== text && { raw }),
    hasStopped: first.hasStopped || second.hasStopped,
  }
}
