import type { RequestTool } from '../../../lib/contract/request.js'
import { listMarks, type AnswerFamily } from './answer-family.js'
import { createHarmonySplitter } from './harmony-splitter.js'
import { createMarkedSplitter } from './marked-splitter.js'
import type { AnswerSplitter } from './split-answer.js'

export interface SplitterOptions {
  readonly family: AnswerFamily
  /** True for the text of a control token of the model, which arrives through `pushControl`. */
  readonly isControl: (text: string) => boolean
  /** The tools of the request. Without tools, the text of a call is text. */
  readonly tools: readonly RequestTool[]
  /** True if the prompt ends inside a thought, which the template or an earlier model has opened. */
  readonly startsInThought: boolean
  /** True if the answer's text has started, so that no thought can open in it. @default false */
  readonly startsInText?: boolean
  /** How many calls the answer already has. @default 0 */
  readonly firstCall?: number
  /** @default nine random letters and digits, as Mistral's templates want */
  readonly createId?: () => string
}

/** Creates the splitter for one answer of a model. */
export function createAnswerSplitter(options: SplitterOptions): AnswerSplitter {
  const { family, isControl } = options
  const shared = { createId: drawCallId, firstCall: 0, startsInText: false, ...options }
  return family.kind === 'harmony'
    ? createHarmonySplitter(shared)
    : createMarkedSplitter(family, listMarks(family), isControl, shared)
}

/** Returns a random id. Nine letters or digits are what Mistral's chat templates take. */
function drawCallId(): string {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => letters[byte % letters.length]).join(
    '',
  )
}
