import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, Resume } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'
import { createDetokenizer } from '../text/detokenizer.js'
import { encodePrompt } from '../text/prompt.js'
import { createStopMatcher } from '../text/stop-strings.js'
import type { Decoder } from './decoder.js'
import { computeLogprobs } from './logprobs.js'
import type { ModelConfig } from './model-config.js'
import { prefill } from './prefill.js'

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
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  const startedAt = performance.now()
  const { input, options } = request
  const { handedOver, generated } = request.resume ?? newAnswer
  const prefix = input.kind === 'chat' ? input.assistantPrefix : ''
  const conversationIds = await encodePrompt(config, request, signal)
  const encodeContent = (text: string) => config.tokenizer.encode([{ text, isContent: true }], signal)
  const prefixTokens = (await encodeContent(prefix)).length
  const startIds = await encodeContent(prefix + handedOver.text)
  const promptIds = [...conversationIds, ...startIds]
  const maxTokens = Math.min(
    options.maxTokens ?? config.maxTokens ?? Infinity,
    handedOver.tokens + countRoom(promptIds, config),
  )
  const detokenizer = createDetokenizer(config.tokenizer, promptIds)
  const stopMatcher = createStopMatcher(options.stop)

  const matchToken = (id: number) => {
    const matched = stopMatcher.push(detokenizer.push(id))
    const control = config.tokenizer.readControlText(id)
    if (matched.hasStopped || control === undefined) return matched
    const { text, hasStopped } = stopMatcher.pushControl(control)
    return { text: matched.text + text, hasStopped }
  }
  const replayed = replay(generated.tokenIds, matchToken)
  if (replayed.hasStopped) return 'stop'
  const streamedTailLength = generated.text.length - replayed.textLength

  // For models with `seededContinuation`, the page draws a seed if the request has none.
  const { seed = 0 } = options
  const answerIds = [...startIds, ...generated.tokenIds]
  // The options of the request override those of the model.
  decoder.startAnswer({ ...config.sampling, ...options }, seed, conversationIds, answerIds)
  const ids = [...promptIds, ...generated.tokenIds]
  const cachedPromptTokens = yield* reportPrefill(
    prefill(decoder, { ids, promptLength: promptIds.length }, signal),
    request.reportsPrefill ? ids.length : undefined,
  )
  const promptTokens = conversationIds.length + prefixTokens
  const prefillMs = performance.now() - startedAt
  yield { kind: 'started', promptTokens, cachedPromptTokens, queueMs, prefillMs }

  const { topLogprobs } = options
  let finishReason: 'stop' | 'length' = 'length'
  for (let count = handedOver.tokens + generated.tokenIds.length; count < maxTokens; count += 1) {
    signal.throwIfAborted()
    // The position in the whole answer, so that a continued answer draws the same tokens as an uninterrupted answer.
    const position = prefixTokens + count
    const id = await decoder.next(position, topLogprobs === undefined && count + 1 < maxTokens)
    if (config.endIds.has(id)) {
      finishReason = 'stop'
      break
    }
    const { text, hasStopped } = matchToken(id)
    yield {
      kind: 'chunk',
      text,
      tokenIds: [id],
      tokenCount: 1,
      ...(topLogprobs !== undefined && {
        logprobs: [computeLogprobs(await decoder.readLogits(), id, topLogprobs, config.tokenizer)],
      }),
    }
    if (hasStopped) return 'stop'
  }
  const { text, hasStopped } = stopMatcher.push(detokenizer.flush())
  // The text is held back until the end. A resumed answer must not repeat the part that was streamed before.
  const tail = (text + stopMatcher.flush()).slice(streamedTailLength)
  if (tail !== '') yield { kind: 'chunk', text: tail, tokenIds: [], tokenCount: 0 }
  return hasStopped ? 'stop' : finishReason
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

/** Restores the state of the text after `tokenIds`. Only counts their text, since the reader already has it. */
function replay(
  tokenIds: readonly number[],
  push: (id: number) => { readonly text: string; readonly hasStopped: boolean },
): { readonly textLength: number; readonly hasStopped: boolean } {
  let textLength = 0
  let hasStopped = false
  for (const id of tokenIds) {
    const pushed = push(id)
    textLength += pushed.text.length
    hasStopped ||= pushed.hasStopped
  }
  return { textLength, hasStopped }
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
