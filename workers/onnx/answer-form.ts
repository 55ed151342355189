import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import { describeAnswer, type AnswerGrammar, type AnswerPlace } from '../text/answer-grammar.js'
import { UnsupportedForm } from '../text/grammar/unsupported-form.js'
import type { AnswerStart } from '../text/channels/start-answer.js'
import { encodeForced } from '../text/grammar/forced-tokens.js'
import type { FormCompiler } from '../text/grammar/form-compiler.js'
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
 * Opens the form that a request demands, at the place that its answer has reached.
 * @returns undefined if it demands none
 * @throws RivuletError `invalid-option` if the form cannot be held; `backend-unavailable` if the grammar engine cannot be
 *   loaded; `generation-failed` if the answer so far does not have the form
 */
export async function openAnswerForm(
  compiler: FormCompiler | undefined,
  { tokenizer, endIds, family }: Pick<ModelConfig, 'tokenizer' | 'endIds' | 'family'>,
  { input, options, resume }: GenerateRequest,
  start: Pick<AnswerStart, 'isInThought' | 'handedOver'>,
): Promise<AnswerForm | undefined> {
  const canThink =
    input.kind === 'chat' && input.assistantPrefix === '' && !start.isInThought && options.reasoning !== 'off'
  const grammar = describe(options, { family, isInThought: start.isInThought, canThink })
  // The page refuses the options that need a form, for a worker without a compiler.
  if (!grammar || !compiler) return undefined
  const { form, option, marks } = grammar
  if (endIds.size === 0) {
    throw new RivuletError(
      'invalid-option',
      `${option} needs a model with an end token. Name it with onnx({ endTokens }).`,
      { details: { option } },
    )
  }
  const compiled = await compiler.compile(form, option, marks)
  const matcher = await compiled.createMatcher()
  const prefix = input.kind === 'chat' ? input.assistantPrefix : ''
  if (!matcher.acceptText(prefix)) {
    matcher.release()
    throw new RivuletError(
      'invalid-option',
      `The message to continue is not the start of an answer that "${option}" allows. Change one of them.`,
      { details: { option: 'continueFinalMessage' } },
    )
  }
  const answerIds = [...(resume?.generated.tokenIds ?? [])]
  const handedOver = start.handedOver.map(({ text }) => text).join('')
  const isResumed = matcher.acceptText(handedOver) && answerIds.every((id) => matcher.accept(id))
  if (!isResumed) {
    matcher.release()
    throw new RivuletError('generation-failed', `The answer so far does not have the form of "${option}".`)
  }
  /** The next tokens, if they are forced. They are not accepted yet. */
  let forced: number[] = []
  // With logprobs, every token needs its own logits.
  const canJump = options.topLogprobs === undefined

  return {
    findMask: () => matcher.computeMask(),
    accept(id) {
      answerIds.push(id)
      if (!matcher.accept(id))
        throw new RivuletError('generation-failed', 'The model left the form of the answer.')
    },
    async takeForced() {
      if (forced.length === 0 && canJump) {
        const text = matcher.findForcedText()
        if (text !== '') forced = [...(await encodeForced(tokenizer, answerIds, text, marks))]
      }
      return forced.shift()
    },
    release: () => matcher.release(),
  }
}

function describe(options: RequestOptions, place: AnswerPlace): AnswerGrammar | undefined {
  try {
    return describeAnswer(options, place)
  } catch (error) {
    if (!(error instanceof UnsupportedForm)) throw error
    throw new RivuletError('invalid-option', `"tools" cannot be held. ${error.message}`, {
      cause: error,
      details: { option: 'tools' },
    })
  }
}
