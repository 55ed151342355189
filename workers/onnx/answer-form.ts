import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import { describeAnswer } from '../text/answer-grammar.js'
import { listMarks } from '../text/channels/answer-family.js'
import type { AnswerStart } from '../text/channels/start-answer.js'
import { encodeForced } from '../text/grammar/forced-tokens.js'
import type { FormCompiler } from '../text/grammar/form-compiler.js'
import { createMarkCodes } from '../text/grammar/mark-codes.js'
import type { FindMask } from './decoder.js'
import type { ModelConfig } from './model-config.js'

/** The form of a running answer. */
export interface AnswerForm {
  readonly findMask: FindMask
  /** Adds a token of the answer. */
  accept(id: number): void
  /** Returns the next token if the form leaves no choice, and undefined if the model has to choose. */
  takeForced(): Promise<number | undefined>
  release(): void
}

/**
 * Opens the form that a request demands of its answer, with its thought and its tool calls, at the place that the answer has
 * reached.
 * @returns undefined if it demands none
 * @throws RivuletError `invalid-option` if the form cannot be held; `backend-unavailable` if the grammar engine cannot be
 *   loaded; `generation-failed` if the answer so far does not have the form
 */
export async function openAnswerForm(
  compiler: FormCompiler | undefined,
  { tokenizer, endIds }: Pick<ModelConfig, 'tokenizer' | 'endIds'>,
  { options, resume }: Pick<GenerateRequest, 'options' | 'resume'>,
  { place, written, handedOver }: Pick<AnswerStart, 'place' | 'written' | 'handedOver'>,
): Promise<AnswerForm | undefined> {
  const marked = createMarkCodes(listMarks(place.family), tokenizer)
  const grammar = describeAnswer(options, place, (text) => marked.encodeParts([{ text, isContent: false }]))
  // The page refuses such options for a worker without a compiler.
  if (!grammar || !compiler) return undefined
  const { form, option, marks } = grammar
  if (endIds.size === 0) {
    throw new RivuletError(
      'invalid-option',
      `${option} needs a model with an end token. Name it with onnx({ endTokens }).`,
      { details: { option } },
    )
  }
  const { codes, createMatcher } = await compiler.compile(form, option, marks)
  const matcher = await createMatcher()
  if (!matcher.acceptText(codes.encodeParts(written))) {
    matcher.release()
    throw new RivuletError(
      'invalid-option',
      `The message to continue is not the start of a text that has the form of "${option}". Change one of them.`,
      { details: { option: 'continueFinalMessage' } },
    )
  }
  const answerIds = [...(resume?.generated.tokenIds ?? [])]
  const isResumed =
    matcher.acceptText(codes.encodeParts(handedOver)) && answerIds.every((id) => matcher.accept(id))
  if (!isResumed) {
    matcher.release()
    throw new RivuletError('generation-failed', `The answer so far does not have the form of "${option}".`)
  }
  /** The next tokens, if they are forced. They are not accepted yet. */
  let forced: number[] = []
  // With logprobs, every token needs its own logits.
  const canJump = options.topLogprobs === undefined

  async function findForced(): Promise<number[]> {
    const [first, next] = codes.split(matcher.findForcedText())
    if (first === undefined) return []
    if (typeof first === 'number') return [first]
    const lastControl = answerIds.findLastIndex((id) => tokenizer.readControlText(id) !== undefined)
    const textIds = answerIds.slice(lastControl + 1)
    return [...(await encodeForced(tokenizer, textIds, first, next !== undefined))]
  }

  return {
    findMask: () => matcher.computeMask(),
    accept(id) {
      answerIds.push(id)
      if (!matcher.accept(id))
        throw new RivuletError('generation-failed', 'The model left the form of the answer.')
    },
    async takeForced() {
      if (forced.length === 0 && canJump) forced = await findForced()
      return forced.shift()
    },
    release: () => matcher.release(),
  }
}
