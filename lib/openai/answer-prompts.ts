import { RivuletError } from '../contract/errors.js'
import type { AnswerEnd, FinishReason, TokenChunk } from '../contract/worker-api.js'
import type { Engine } from '../engine.js'
import type { GenerationResult } from '../generation.js'
import type { ReadRequest } from './read-request.js'

/** A part of the answers to the prompts of one request. `index` is the prompt's number. */
export type AnswerPart =
  | { readonly kind: 'chunk'; readonly index: number; readonly chunk: TokenChunk }
  | {
      readonly kind: 'end'
      readonly index: number
      readonly end: AnswerEnd
      readonly result: GenerationResult
    }

/** OpenAI's default of `max_tokens` for completions. Chats have none. */
const defaultCompletionTokens = 16

/**
 * Answers the prompts of a request one after the other. Generates only on demand.
 * @param signal cancels the running generation
 * @throws RivuletError any of the errors of a generation; the reason of `signal`
 */
export async function* answerPrompts(
  engine: Engine,
  { isChat, prompts, options }: ReadRequest,
  signal: AbortSignal,
): AsyncGenerator<AnswerPart, undefined> {
  const hasLimit = !isChat && engine.info.supports.options.includes('maxTokens')
  const defaults = hasLimit ? { maxTokens: defaultCompletionTokens } : {}
  const { reasoning, ...others } = options
  // A model whose reasoning cannot be controlled takes what demands nothing, as other servers do.
  const isNeutral = reasoning === 'off' && !engine.info.supports.options.includes('reasoning')
  const sent = isNeutral ? others : options
  for (const [index, prompt] of prompts.entries()) {
    const stream = engine.generate(prompt, { ...defaults, ...sent, signal })
    for await (const chunk of stream) yield { kind: 'chunk', index, chunk }
    const result = await stream.result
    yield { kind: 'end', index, end: checkEnd(result.finishReason), result }
  }
}

/**
 * Returns the reason for which a complete answer ended.
 * @throws RivuletError `engine-disposed` for `cancelled`: a client that cancels never reads the end
 */
function checkEnd(reason: FinishReason): AnswerEnd {
  if (reason !== 'cancelled') return reason
  throw new RivuletError('engine-disposed', 'The engine was disposed before the answer was complete.')
}
