import { RivuletError } from '../../../lib/contract/errors.js'
import type { GeneratedAnswer, GenerateRequest } from '../../../lib/contract/request.js'
import type { AnswerPlace } from '../answer-grammar.js'
import type { ChatTemplate, PromptPart } from '../chat-template.js'
import { plainFamily, type AnswerFamily } from './answer-family.js'
import { createAnswerSplitter } from './create-answer-splitter.js'
import { parseJson } from './json-value.js'
import {
  closeThought,
  endsInThought,
  findReasoningSwitch,
  openThought,
  startThought,
} from './reasoning-control.js'
import type { AnswerSplitter } from './split-answer.js'
import { listPieces, writeCalls, writeOpenCall } from './write-calls.js'

/** The model that answers. */
export interface AnsweringModel {
  readonly family: AnswerFamily
  readonly chatTemplate: ChatTemplate | undefined
  /** True for the text of a control token of the model, which `decode` leaves out. */
  readonly isControl: (text: string) => boolean
}

/** The start of an answer, which the model continues. */
export interface AnswerStart {
  /** The marks that decide whether the model reasons, and the start of the answer that the caller wrote. */
  readonly prefix: readonly PromptPart[]
  /** The part of `prefix` that the caller wrote. */
  readonly written: readonly PromptPart[]
  /** Where the answer's form begins: behind the marks of `prefix`. */
  readonly place: AnswerPlace
  /** What other models generated, in the marks of this model. */
  readonly handedOver: readonly PromptPart[]
  /** The splitter for what follows. */
  readonly splitter: AnswerSplitter
}

/**
 * Prepares the answer to a prompt.
 * @param prompt the rendered prompt
 * @throws RivuletError `generation-failed` if the answer was handed over inside a call that this model cannot continue
 */
export function startAnswer(
  { family, chatTemplate, isControl }: AnsweringModel,
  { input, options, resume }: Pick<GenerateRequest, 'input' | 'options' | 'resume'>,
  prompt: readonly PromptPart[],
): AnswerStart {
  const tools = options.toolChoice === 'none' ? [] : (options.tools ?? [])
  if (input.kind === 'text') {
    const splitter = createAnswerSplitter({
      family: plainFamily,
      isControl,
      tools: [],
      startsInThought: false,
    })
    return {
      prefix: [],
      written: [],
      place: { family: plainFamily, isInThought: false, canThink: false },
      handedOver: writeHandedOver(plainFamily, resume?.handedOver, false).parts,
      splitter,
    }
  }
  const isOpen = endsInThought(family, prompt)
  // The caller's start of an answer is its text: a thought before it is empty.
  const reasoning = input.assistantPrefix === '' ? options.reasoning : isOpen ? 'off' : undefined
  const hasSwitch =
    chatTemplate !== undefined &&
    options.reasoning !== undefined &&
    findReasoningSwitch(chatTemplate).kind !== 'start'
  const start = startThought(family, reasoning, hasSwitch, isOpen)
  const written = writeHandedOver(family, resume?.handedOver, start.isOpen)
  const splitter = createAnswerSplitter({
    family,
    isControl,
    tools,
    startsInThought: written.endsInThought,
    startsInText: input.assistantPrefix !== '' || (resume?.handedOver.text ?? '') !== '',
    firstCall: written.calls,
  })
  for (const piece of listPieces(family, written.open, isControl)) {
    // The reader has this part of the call. It only brings the splitter to its place.
    if (piece.isControl) splitter.pushControl(piece.text)
    else splitter.push(piece.text)
  }
  const message = input.assistantPrefix === '' ? [] : [{ text: input.assistantPrefix, isContent: true }]
  const canThink = !isOpen && start.marks === '' && options.reasoning !== 'off' && message.length === 0
  return {
    prefix: [...(start.marks === '' ? [] : [{ text: start.marks, isContent: false }]), ...message],
    written: message,
    place: { family, isInThought: start.isOpen, canThink },
    handedOver: [...written.parts, ...written.open],
    splitter,
  }
}

interface HandedOver {
  readonly parts: readonly PromptPart[]
  /** The last call, if it is not complete. */
  readonly open: readonly PromptPart[]
  /** How many calls are complete. */
  readonly calls: number
  readonly endsInThought: boolean
}

/** Writes an answer of another model in the marks of this one. @param isOpen true if a thought is open before it */
function writeHandedOver(
  family: AnswerFamily,
  { text, reasoning = '', toolCalls = [] }: Pick<GeneratedAnswer, 'text' | 'reasoning' | 'toolCalls'> = {
    text: '',
  },
  isOpen: boolean,
): HandedOver {
  const hasAnswer = text !== '' || toolCalls.length > 0
  const thought = writeThought(family, reasoning, isOpen, hasAnswer, text !== '')
  const last = toolCalls.at(-1)
  const isCut = last !== undefined && parseJson(last.arguments) === undefined
  const complete = isCut ? toolCalls.slice(0, -1) : toolCalls
  const open = isCut ? writeOpenCall(family, last) : []
  const calls = writeCalls(family, complete)
  if (!open || (complete.length > 0 && calls.length === 0)) {
    throw new RivuletError(
      'generation-failed',
      'The answer was inside a tool call when its model was lost, and the next model writes calls in another way. Send the request again.',
    )
  }
  const written = text === '' ? [] : [{ text, isContent: true }]
  if (family.kind === 'harmony' && text !== '' && toolCalls.length > 0) {
    written.push({ text: '<|end|><|start|>assistant', isContent: false })
  }
  return {
    parts: [...thought.parts, ...written, ...calls],
    open,
    calls: complete.length,
    endsInThought: thought.isOpen,
  }
}

/** Writes a thought, and ends it if the answer has more. A family without thoughts does not get it. */
function writeThought(
  family: AnswerFamily,
  reasoning: string,
  isOpen: boolean,
  hasAnswer: boolean,
  hasText: boolean,
): { readonly parts: readonly PromptPart[]; readonly isOpen: boolean } {
  const marks = (text: string) => ({ text, isContent: false })
  const content = reasoning === '' ? [] : [{ text: reasoning, isContent: true }]
  if (family.kind === 'harmony') {
    const start = isOpen || reasoning === '' ? [] : [marks('<|channel|>analysis<|message|>')]
    const isThinking = isOpen || reasoning !== ''
    const next = isThinking && hasAnswer ? '<|end|><|start|>assistant' : ''
    const end = [marks(hasText ? `${next}<|channel|>final<|message|>` : next)].filter(
      ({ text }) => text !== '',
    )
    return { parts: [...start, ...content, ...end], isOpen: isThinking && !hasAnswer }
  }
  const { thought } = family
  if (!thought) return { parts: [], isOpen: false }
  if (reasoning === '' && !isOpen) return { parts: [], isOpen: false }
  const start = isOpen ? [] : [marks(openThought(thought))]
  const end = hasAnswer ? [marks(closeThought(thought))] : []
  return { parts: [...start, ...content, ...end], isOpen: !hasAnswer }
}
