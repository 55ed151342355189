import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/options.js'
import type { Step } from '../backend.js'
import { createDetokenizer } from '../text/detokenizer.js'
import { encodePrompt } from '../text/prompt.js'
import { createStopMatcher } from '../text/stop-strings.js'
import type { Decoder } from './decoder.js'
import type { ModelConfig } from './model-config.js'
import { drawUniform, sampleToken, type Sampling } from './sampler.js'

/** Prompt tokens computed at a time: a cancel waits for one chunk, and one chunk's logits are in memory. */
const prefillChunkTokens = 128

/**
 * Prefill in chunks, then one token for every pull, until the model ends, a stop string comes or the length is reached.
 * The only decode loop there is.
 * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`; the reason of `signal`
 */
export async function* generateTokens(
  decoder: Decoder,
  config: ModelConfig,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<Step, 'stop' | 'length', undefined> {
  const promptIds = encodePrompt(config.tokenizer, request)
  const maxTokens = Math.min(request.maxTokens ?? config.maxTokens ?? Infinity, countRoom(promptIds, config))
  const sampling = chooseSampling(config.sampling, request)
  const seed = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!
  const detokenizer = createDetokenizer(config.tokenizer, promptIds)
  const stopMatcher = createStopMatcher(request.stop)
  const seen = new Set(promptIds)

  let logits = await prefill(decoder, promptIds, signal)
  yield { kind: 'prefilled', promptTokens: promptIds.length }

  let finishReason: 'stop' | 'length' = 'length'
  for (let position = 0; position < maxTokens; position += 1) {
    signal.throwIfAborted()
    const id = sampleToken(logits, sampling, seen, drawUniform(seed, position))
    checkLogit(logits[id])
    if (config.endIds.has(id)) {
      finishReason = 'stop'
      break
    }
    seen.add(id)
    const { text, hasStopped } = stopMatcher.push(detokenizer.push(id))
    yield { kind: 'token', text, tokenIds: [id] }
    if (hasStopped) return 'stop'
    signal.throwIfAborted()
    if (position + 1 < maxTokens) logits = await decoder.forward([id])
  }
  const { text, hasStopped } = stopMatcher.push(detokenizer.flush())
  const tail = text + stopMatcher.flush()
  if (tail !== '') yield { kind: 'token', text: tail, tokenIds: [] }
  return hasStopped ? 'stop' : finishReason
}

async function prefill(
  decoder: Decoder,
  promptIds: readonly number[],
  signal: AbortSignal,
): Promise<Float32Array> {
  decoder.reset()
  let logits: Float32Array = new Float32Array()
  for (let start = 0; start < promptIds.length; start += prefillChunkTokens) {
    signal.throwIfAborted()
    logits = await decoder.forward(promptIds.slice(start, start + prefillChunkTokens))
  }
  return logits
}

/** How many tokens the context has left for the answer. */
function countRoom(promptIds: readonly number[], { contextLength }: ModelConfig): number {
  if (promptIds.length === 0)
    throw new RivuletError('invalid-option', 'The prompt has no tokens for this model.')
  if (promptIds.length < contextLength) return contextLength - promptIds.length
  throw new RivuletError(
    'prompt-too-long',
    `The prompt has ${promptIds.length} tokens; this model's context holds ${contextLength}, the answer included. ` +
      'Shorten the prompt or drop old messages.',
  )
}

/** The request's options over the model's own. */
function chooseSampling(model: Sampling, request: GenerateRequest): Sampling {
  return {
    temperature: request.temperature ?? model.temperature,
    topK: request.topK ?? model.topK,
    topP: request.topP ?? model.topP,
    minP: request.minP ?? model.minP,
    repetitionPenalty: request.repetitionPenalty ?? model.repetitionPenalty,
  }
}

function checkLogit(logit: number | undefined): void {
  if (logit !== undefined && Number.isFinite(logit)) return
  throw new RivuletError(
    'generation-failed',
    `The model computed ${logit} where a number was due. Another dtype or device may compute it right.`,
  )
}
