import { RivuletError } from '../../lib/contract/errors.js'
import { nothingSaid, type GenerateRequest } from '../../lib/contract/options.js'
import type { Step } from '../backend.js'
import { createDetokenizer } from '../text/detokenizer.js'
import { encodePrompt } from '../text/prompt.js'
import { createStopMatcher } from '../text/stop-strings.js'
import type { Decoder } from './decoder.js'
import { computeLogprobs } from './logprobs.js'
import type { ModelConfig } from './model-config.js'
import type { Sampling } from './sampler.js'

/**
 * Computes the prompt in chunks, then one token for each pull, until an end-of-sequence token, a stop string or the
 * maximum length. Tokens that an earlier conversation has in its KV cache are not computed again.
 * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`; the reason of `signal`
 */
export async function* generateTokens(
  decoder: Decoder,
  config: ModelConfig,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<Step, 'stop' | 'length', undefined> {
  const { topLogprobs, begun = '' } = request
  const { before, own } = request.said ?? nothingSaid
  const questionIds = encodePrompt(config.tokenizer, request)
  const encodeWords = (text: string) => config.tokenizer.encode([{ text, isContent: true }])
  const begunTokens = encodeWords(begun).length
  const beforeIds = encodeWords(begun + before.text)
  const promptIds = [...questionIds, ...beforeIds]
  const maxTokens = Math.min(
    request.maxTokens ?? config.maxTokens ?? Infinity,
    before.tokens + countRoom(promptIds, config),
  )
  const detokenizer = createDetokenizer(config.tokenizer, promptIds)
  const stopMatcher = createStopMatcher(request.stop)

  const replayed = replay(own.tokenIds, (id) => stopMatcher.push(detokenizer.push(id)))
  if (replayed.hasStopped) return 'stop'
  const saidOfTail = own.text.length - replayed.textLength

  decoder.startAnswer(chooseSampling(config.sampling, request), request.seed, questionIds, [
    ...beforeIds,
    ...own.tokenIds,
  ])
  const cachedPromptTokens = await prefill(decoder, [...promptIds, ...own.tokenIds], signal)
  yield { kind: 'prefilled', promptTokens: questionIds.length + begunTokens, cachedPromptTokens }

  let finishReason: 'stop' | 'length' = 'length'
  for (let count = before.tokens + own.tokenIds.length; count < maxTokens; count += 1) {
    signal.throwIfAborted()
    // The position in the whole answer, so that a resumed answer draws the same random numbers.
    const position = begunTokens + count
    const id = await decoder.next(position, topLogprobs === undefined && count + 1 < maxTokens)
    if (config.endIds.has(id)) {
      finishReason = 'stop'
      break
    }
    const { text, hasStopped } = stopMatcher.push(detokenizer.push(id))
    yield {
      kind: 'token',
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
  // The reader of a resumed answer may already have part of the text that was held back until the end.
  const tail = (text + stopMatcher.flush()).slice(saidOfTail)
  if (tail !== '') yield { kind: 'token', text: tail, tokenIds: [], tokenCount: 0 }
  return hasStopped ? 'stop' : finishReason
}

/** @returns how many tokens of the prompt were in the cache */
async function prefill(decoder: Decoder, promptIds: readonly number[], signal: AbortSignal): Promise<number> {
  // The last token is always computed: the answer starts from its logits.
  const cached = decoder.recall(promptIds.slice(0, -1))
  const { prefillChunkTokens: chunk } = decoder
  for (let start = cached; start < promptIds.length; start += chunk) {
    signal.throwIfAborted()
    await decoder.prefill(promptIds.slice(start, start + chunk))
  }
  return cached
}

/** Restores the state of the text after these tokens. The reader already has their text. */
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

/** How many tokens of the context remain for the answer. */
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

/** The sampling options of the request, with the model's defaults for those it leaves out. */
function chooseSampling(model: Sampling, request: GenerateRequest): Sampling {
  return {
    temperature: request.temperature ?? model.temperature,
    topK: request.topK ?? model.topK,
    topP: request.topP ?? model.topP,
    minP: request.minP ?? model.minP,
    repetitionPenalty: request.repetitionPenalty ?? model.repetitionPenalty,
    frequencyPenalty: request.frequencyPenalty,
    presencePenalty: request.presencePenalty,
    logitBias: request.logitBias,
  }
}
