import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'
import { createAnswerReader, joinSteps, type AnswerStep } from '../text/channels/answer-reader.js'
import { endThought } from '../text/channels/reasoning-control.js'
import type { PromptPart } from '../text/chat-template.js'
import type { FormCompiler } from '../text/grammar/form-compiler.js'
import { openAnswerForm } from './answer-form.js'
import type { Decoder } from './decoder.js'
import { countPrompt, encodeRequest } from './encode-request.js'
import { computeLogprobs } from './logprobs.js'
import type { ModelConfig } from './model-config.js'
import { prefill } from './prefill.js'
import { createTokenReader, dropStreamed, replay } from './read-tokens.js'
import { createTokenSource } from './token-source.js'

/**
 * Computes the prompt in chunks. Then generates one token each time the caller pulls, until an end-of-sequence token, a
 * stop string or the maximum length. Tokens that an earlier conversation has in its KV cache are not computed again.
 * @throws RivuletError `prompt-too-long`, `invalid-option`, `chat-template-failed`, `generation-failed`; the reason of
 *   `signal` if it is aborted
 */
export async function* generateTokens(
  decoder: Decoder,
  config: ModelConfig,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
  compiler?: FormCompiler,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const startedAt = performance.now()
  const { options } = request
  const { tokenizer, family } = config
  const { handedOver, generated } = request.resume ?? newAnswer
  const encode = (parts: readonly PromptPart[]) => tokenizer.encode(parts, signal)
  const encoded = await encodeRequest(config, request, signal)
  const { start, conversationIds, startIds, prefixTokens } = encoded
  const promptIds = [...conversationIds, ...startIds]
  const maxTokens = Math.min(
    options.maxTokens ?? config.maxTokens ?? Infinity,
    handedOver.tokens + countRoom(promptIds, config),
  )
  const usedTokens = (await encode([{ text: handedOver.reasoning ?? '', isContent: true }])).length
  const reader = createAnswerReader(start.splitter, options.stop)
  const answer = createTokenReader(tokenizer, promptIds, reader, options.reasoning, usedTokens)
  const replayed = replay(generated.tokenIds, answer)
  if (replayed.hasStopped) return 'stop'

  const form = await openAnswerForm(compiler, config, request, start)
  try {
    return yield* streamTokens()
  } finally {
    form?.release()
  }

  async function* streamTokens(): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
    // For models with `seededContinuation`, the page draws a seed if the request has none.
    const { seed = 0 } = options
    const answerIds = [...startIds, ...generated.tokenIds]
    // The options of the request override those of the model.
    const sampling = { ...config.sampling, ...options, ...banCalls(config, options) }
    decoder.startAnswer(sampling, seed, conversationIds, answerIds)
    const computed = { ids: [...conversationIds, ...answerIds], promptLength: promptIds.length }
    const cachedPromptTokens = yield* reportPrefill(
      prefill(decoder, computed, signal),
      request.reportsPrefill ? computed.ids.length : undefined,
    )
    const source = createTokenSource(decoder, form, computed, signal)
    const promptTokens = countPrompt(encoded)
    const prefillMs = performance.now() - startedAt
    yield { kind: 'started', promptTokens, cachedPromptTokens, queueMs, prefillMs }
    if (request.prefillOnly) return 'length'

    const { topLogprobs } = options
    let finishReason: 'stop' | 'length' = 'length'
    for (let count = handedOver.tokens + generated.tokenIds.length; count < maxTokens;) {
      signal.throwIfAborted()
      if (answer.isReasoningUsedUp) {
        const marks = await encode([{ text: endThought(family, mustCall(options)), isContent: false }])
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
      const willContinue = topLogprobs === undefined && count + 1 < maxTokens && !answer.mayUseUpReasoning
      const id = await source.next(position, willContinue)
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
          logprobs: [computeLogprobs(await decoder.readLogits(), id, topLogprobs, tokenizer)],
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

const newAnswer: Resume = {
  handedOver: { text: '', tokens: 0 },
  generated: { text: '', tokens: 0, tokenIds: [] },
}

function mustCall({ toolChoice }: RequestOptions): boolean {
  return toolChoice === 'required' || typeof toolChoice === 'object'
}

/** Bans the token that starts a call, if the request has tools that the model must not call. */
function banCalls(
  { family, tokenizer }: ModelConfig,
  { tools, toolChoice, logitBias }: RequestOptions,
): Pick<RequestOptions, 'logitBias'> {
  const mark = family.kind === 'marked' ? family.calls?.open : undefined
  const id = tools && toolChoice === 'none' && mark ? tokenizer.findId(mark) : undefined
  return id === undefined ? {} : { logitBias: { ...logitBias, [id]: -100 } }
}

function hasContent({ text, reasoning, toolCalls, raw }: Omit<AnswerStep, 'hasStopped'>): boolean {
  return text !== '' || reasoning !== undefined || toolCalls !== undefined || (raw ?? '') !== ''
}

/** Returns how many tokens of the context remain for the answer. */
function countRoom(promptIds: readonly number[], { contextLength }: ModelConfig): number {
  if (promptIds.length === 0)
    throw new RivuletError(
      'invalid-option',
      'The prompt is empty: it contains no token of this model. Write a prompt.',
    )
  if (promptIds.length < contextLength) return contextLength - promptIds.length
  throw new RivuletError(
    'prompt-too-long',
    `The prompt has ${promptIds.length} tokens, but this model's context (prompt and answer together) has ${contextLength}. ` +
      'Shorten the prompt or remove old messages.',
  )
}
