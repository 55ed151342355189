import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import { describeFormat } from '../text/grammar/describe-format.js'
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
  { tokenizer, endIds }: Pick<ModelConfig, 'tokenizer' | 'endIds'>,
  { input, options, resume }: GenerateRequest,
): Promise<AnswerForm | undefined> {
  const { responseFormat } = options
  // The page refuses the option for a worker without a compiler.
  if (!responseFormat || !compiler) return undefined
  if (endIds.size === 0) {
    throw new RivuletError(
      'invalid-option',
      'responseFormat needs a model with an end token. Name it with onnx({ endTokens }).',
      { details: { option: 'responseFormat' } },
    )
  }
  const compiled = await compiler.compile(describeFormat(responseFormat), 'responseFormat')
  const matcher = await compiled.createMatcher()
  const prefix = input.kind === 'chat' ? input.assistantPrefix : ''
  if (!matcher.acceptText(prefix)) {
    matcher.release()
    throw new RivuletError(
      'invalid-option',
      'The message to continue is not the start of a text that has the form of "responseFormat". Change one of them.',
      { details: { option: 'continueFinalMessage' } },
    )
  }
  const answerIds = [...(resume?.generated.tokenIds ?? [])]
  const isResumed =
    matcher.acceptText(resume?.handedOver.text ?? '') && answerIds.every((id) => matcher.accept(id))
  if (!isResumed) {
    matcher.release()
    throw new RivuletError(
      'generation-failed',
      'The answer so far does not have the form of "responseFormat".',
    )
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
        if (text !== '') forced = [...(await encodeForced(tokenizer, answerIds, text))]
      }
      return forced.shift()
    },
    release: () => matcher.release(),
  }
}
