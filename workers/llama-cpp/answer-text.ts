import type { GeneratedAnswer } from '../../lib/contract/request.js'
import type { Reasoning } from '../../lib/contract/request.js'
import type { AnswerFamily } from '../text/channels/answer-family.js'
import { joinSteps, type AnswerReader, type AnswerStep } from '../text/channels/answer-reader.js'
import { listPieces } from '../text/channels/write-calls.js'
import type { PromptPart } from '../text/chat-template.js'

/** The text of an answer, which llama.cpp gets again where the answer continues. */
export interface AnswerText {
  /** What the model wrote so far, for the prompt. */
  readonly parts: readonly PromptPart[]
  /** The same as one text, with the marks that are control tokens. */
  readonly raw: string
  /** Adds the text of a token, which can end with a control token. @returns what is new for the reader of the answer */
  push(text: string, control?: string): AnswerStep
  /** Adds marks that the model did not write. @returns what is new, and the number of their pieces */
  force(marks: string): { readonly step: AnswerStep; readonly pieces: number }
  /** Ends the answer. Returns what is held back. */
  flush(): AnswerStep
  /** True if the reasoning has used all its tokens, and goes on. */
  readonly isReasoningUsedUp: boolean
  readonly hasCalls: boolean
}

interface AnswerTextOptions {
  readonly family: AnswerFamily
  readonly isControl: (text: string) => boolean
  readonly reasoning: Reasoning | undefined
  /** What this model has generated before it was lost. */
  readonly generated: GeneratedAnswer
}

/** @param reader the reader of the answer, in the state before `generated` */
export function createAnswerText(
  reader: AnswerReader,
  { family, isControl, reasoning, generated }: AnswerTextOptions,
): AnswerText {
  const parts: PromptPart[] = []
  let raw = ''
  const budget = typeof reasoning === 'object' ? reasoning.maxTokens : Infinity
  let usedTokens = 0

  function add(text: string, isMark: boolean): AnswerStep {
    if (text !== '') parts.push({ text, isContent: !isMark })
    raw += text
    return isMark ? reader.pushControl(text) : reader.push(text)
  }

  function addMarks(marks: string): { readonly step: AnswerStep; readonly pieces: number } {
    const pieces = [...listPieces(family, [{ text: marks, isContent: false }], isControl)]
    const step = pieces.map((piece) => add(piece.text, piece.isControl)).reduce(joinSteps, emptyStep)
    return { step, pieces: pieces.length }
  }

  const { step: replayed } = addMarks(generated.raw ?? generated.text)
  if (generated.reasoning !== undefined && reader.isReasoning) usedTokens = generated.tokens
  const skip = createSkip(replayed, generated)

  return {
    parts,
    get raw() {
      return raw
    },
    push(text, control = '') {
      const wasReasoning = reader.isReasoning
      const before = add(text, false)
      const step = control === '' || before.hasStopped ? before : joinSteps(before, add(control, true))
      if (!wasReasoning && step.reasoning === undefined) return skip(step)
      usedTokens += 1
      return skip({ reasoning: '', ...step })
    },
    force(marks) {
      const { step, pieces } = addMarks(marks)
      return { step: skip(step), pieces }
    },
    flush: () => skip(reader.flush()),
    get isReasoningUsedUp() {
      return reader.isReasoning && usedTokens >= budget
    },
    get hasCalls() {
      return reader.hasCalls
    },
  }
}

const emptyStep: AnswerStep = { text: '', hasStopped: false }

/**
 * Returns a function that removes from the next steps what the reader of the answer already has. The text before a loss can
 * end with text that is held back when it is read again.
 */
function createSkip(replayed: AnswerStep, streamed: GeneratedAnswer): (step: AnswerStep) => AnswerStep {
  let text = streamed.text.length - replayed.text.length
  let reasoning = (streamed.reasoning ?? '').length - (replayed.reasoning ?? '').length
  let raw = (streamed.raw ?? streamed.text).length - (replayed.raw ?? replayed.text).length
  return (step) => {
    if (text <= 0 && reasoning <= 0 && raw <= 0) return step
    const { text: all, reasoning: thought, raw: written = all, ...rest } = step
    const left = all.slice(Math.max(0, text))
    const leftRaw = written.slice(Math.max(0, raw))
    const leftThought = thought?.slice(Math.max(0, reasoning))
    text -= all.length
    raw -= written.length
    reasoning -= (thought ?? '').length
    return {
      ...rest,
      text: left,
      ...(leftThought !== undefined && { reasoning: leftThought }),
      ...(leftRaw !== left && { raw: leftRaw }),
    }
  }
}
