import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'
import { joinSteps } from '../text/channels/answer-reader.js'
import { endThought } from '../text/channels/reasoning-control.js'
import type { FormCompiler } from '../text/grammar/form-compiler.js'
import { openAnswerForm } from './answer-form.js'
import { mostStepsAhead } from './decoder.js'
import type { DecoderLease, DecoderPool } from './decoder-pool.js'
import { countPrompt } from './encode-request.js'
import { describeRanking } from './logprobs.js'
import type { ModelConfig } from './model-config.js'
import type { KeptPrefixes } from './kept-prefixes.js'
import { prefill } from './prefill.js'
import { markTokens } from './prefill-rules.js'
import { banCalls, prepareAnswer } from './prepare-answer.js'
import { dropStreamed, hasContent } from './read-tokens.js'
import { createTokenSource } from './token-source.js'

/**
 * Computes the prompt in chunks. Then generates one token each time the caller pulls, until an end-of-sequence token, a
 * stop string or the maximum length. Tokens that an earlier conversation has in its KV cache are not computed again.
 * @throws RivuletError `prompt-too-long`, `invalid-option`, `chat-template-failed`, `generation-failed`; the reason of
 *   `signal` if it is aborted
 */
export async function* generateTokens(
  decoders: DecoderPool,
  config: ModelConfig,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
  compiler?: FormCompiler,
  kept?: KeptPrefixes,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const startedAt = performance.now()
  const { options } = request
  const { tokenizer, family } = config
  const prepared = await prepareAnswer(config, request, signal)
  const { conversationIds, startIds, prefixTokens, maxTokens, start, answer, replayed } = prepared
  const { handedOver, generated } = prepared.resume
  if (replayed.hasStopped) return 'stop'

  const promptIds = [...conversationIds, ...startIds]
  const form = await openAnswerForm(compiler, config, request, start)
  let lease: DecoderLease | undefined
  try {
    lease = await decoders.take(promptIds, request.canPausePrefill === true, signal)
    return yield* streamTokens(lease)
  } finally {
    lease?.release()
    form?.release()
  }

  async function* streamTokens({
    decoder,
    markComputed,
  }: DecoderLease): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
    // For models with `seededContinuation`, the page draws a seed if the request has none.
    const { seed = 0 } = options
    const answerIds = [...startIds, ...generated.tokenIds]
    // The options of the request override those of the model.
    const sampling = { ...config.sampling, ...options, ...banCalls(config, options) }
    const { topLogprobs } = options
    decoder.startAnswer(sampling, seed, conversationIds, answerIds, topLogprobs)
    const computed = { ids: [...conversationIds, ...answerIds], promptLength: promptIds.length }
    const cachedPromptTokens = yield* reportPrefill(
      prefill(decoder, computed, signal, kept),
      request.reportsPrefill ? computed.ids.length : undefined,
    )
    const prefillMs = performance.now() - startedAt
    const marked = markTokens(decoder.prefillRules, computed.ids, computed.promptLength)
    // Before another generation may take the states of this prompt.
    const prefix = request.keepsPrefix && kept ? await kept.keep(decoder, marked, signal) : undefined
    markComputed()
    const source = createTokenSource(decoder, form, computed, signal)
    const promptTokens = countPrompt(prepared)
    yield { kind: 'started', promptTokens, cachedPromptTokens, queueMs, prefillMs }
    if (prefix) yield { kind: 'kept', prefix }
    if (request.prefillOnly) return 'length'

    let finishReason: 'stop' | 'length' = 'length'
    /** How many steps the decoder may have started ahead. Their tokens are read before other tokens are forced. */
    let startedAhead = 0
    for (let count = handedOver.tokens + generated.tokenIds.length; count < maxTokens;) {
      signal.throwIfAborted()
      if (answer.isReasoningUsedUp && startedAhead === 0) {
        const marks = await tokenizer.encode(
          [{ text: endThought(family, mustCall(options)), isContent: false }],
          signal,
        )
        const forced = marks.slice(0, maxTokens - count)
        source.add(forced)
        count += forced.length
        const { hasStopped, ...step } = forced.map(answer.push).reduce(joinSteps)
        yield { kind: 'chunk', ...step, tokenIds: forced, tokenCount: forced.length }
        if (hasStopped) return 'stop'
        continue
      }
      // The position in the whole answer, so that a continued answer draws the same tokens as an uninterrupted answer.
      const position = prefixTokens + count
      const following = Math.min(mostStepsAhead, maxTokens - count - 1, answer.tokensBeforeForced - 1)
      startedAhead = Math.max(startedAhead - 1, following)
      const id = await source.next(position, following)
      if (config.endIds.has(id)) {
        finishReason = 'stop'
        break
      }
      count += 1
      const { hasStopped, ...step } = answer.push(id)
      yield {
        kind: 'chunk',
        ...step,
        tokenIds: [id],
        tokenCount: 1,
        ...(topLogprobs !== undefined && {
          logprobs: [describeRanking(decoder.readRanking(), id, tokenizer)],
        }),
      }
      if (hasStopped) return 'stop'
    }
    // This part is held back until the end. A resumed answer must not repeat what was streamed before.
    const { hasStopped, ...rest } = dropStreamed(answer.flush(), replayed, generated)
    if (hasContent(rest)) yield { kind: 'chunk', ...rest, tokenIds: [], tokenCount: 0 }
    if (hasStopped) return 'stop'
    return finishReason === 'stop' && answer.hasCalls ? 'tool-calls' : finishReason
  }
}

/** Runs a prefill to its end. @param totalTokens undefined if nobody reads its progress */
async function* reportPrefill(
  runs: AsyncGenerator<number, number, undefined>,
  totalTokens: number | undefined,
): AsyncGenerator<GenerationStep, number, undefined> {
  for (;;) {
    const { done, value } = await runs.next()
    if (done) return value
    if (totalTokens !== undefined) yield { kind: 'prefilling', computedTokens: value, totalTokens }
  }
}

function mustCall({ toolChoice }: RequestOptions): boolean {
  return toolChoice === 'required' || typeof toolChoice === 'object'
}
