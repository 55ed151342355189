import { RivuletError } from '../../lib/contract/errors.js'
import type { ChatMessage, GenerateRequest } from '../../lib/contract/options.js'
import type { CountedTokens } from '../../lib/contract/worker-api.js'
import type { Step } from '../backend.js'
import { createStopMatcher } from '../text/stop-strings.js'
import { explainFailure } from './explain-failure.js'
import type { MlcChunk, MlcEngine } from './runtime.js'

/** What the KV cache holds, as far as the next request can go on from it. */
export interface LastRound {
  readonly messages: readonly ChatMessage[]
  readonly tokens: number
}

/** web-llm's engine, and what it is known to hold. */
export interface LoadedEngine {
  readonly engine: MlcEngine
  last: LastRound | undefined
}

/**
 * One token for every pull: web-llm's own iterator makes a step when it is asked for the next chunk.
 * @throws RivuletError `invalid-option`, `prompt-too-long`, `chat-template-failed`, `device-lost`; the reason of `signal`
 */
export async function* generateTokens(
  loaded: LoadedEngine,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<Step, 'stop' | 'length', undefined> {
  refuseUnknown(request)
  const { engine } = loaded
  const messages = readMessages(request)
  const cachedTokens = messages ? countCached(loaded.last, messages) : 0
  loaded.last = undefined
  const stopMatcher = createStopMatcher(request.stop)
  let finishReason: string | undefined
  let counted: CountedTokens | undefined
  let text = ''
  let hasStopped = false
  let hasStarted = false
  const chunks = await startRound(engine, request, messages)
  try {
    for (;;) {
      // An interrupt before the first step would be lost; who has left by now never begins.
      signal.throwIfAborted()
      const { done, value } = await nextChunk(chunks)
      if (done) break
      const {
        choices: [choice],
        usage,
      } = value
      if (usage) counted = readUsage(usage, cachedTokens)
      if (!choice) continue
      if (!hasStarted) yield { kind: 'prefilled', promptTokens: undefined, cachedPromptTokens: 0 }
      hasStarted = true
      finishReason = choice.finish_reason ?? undefined
      const piece = choice.delta?.content ?? choice.text ?? ''
      if (finishReason !== undefined || hasStopped) continue
      text += piece
      const matched = stopMatcher.push(piece)
      yield { kind: 'token', text: matched.text, tokenIds: [], tokenCount: 1 }
      hasStopped = matched.hasStopped
      // What it counted comes behind the end.
      if (hasStopped) await engine.interruptGenerate()
    }
    // What ends within a character is in no chunk.
    const tail = hasStopped ? '' : (await engine.getMessage()).slice(text.length)
    const rest = stopMatcher.push(tail).text + stopMatcher.flush()
    if (rest !== '') yield { kind: 'token', text: rest, tokenIds: [], tokenCount: 0 }
    if (messages && counted && finishReason === 'stop') {
      const tokens = counted.promptTokens + counted.completionTokens
      loaded.last = { messages: [...messages, { role: 'assistant', content: text + tail }], tokens }
    }
    if (counted) yield { kind: 'counted', ...counted }
    return finishReason === 'length' ? 'length' : 'stop'
  } finally {
    // Without it the model stays locked: always, also behind its end.
    await chunks.return?.()
  }
}

/** @throws RivuletError `invalid-option` for what web-llm has not, by its name here */
function refuseUnknown({ topK = 0, minP = 0, topLogprobs, said }: GenerateRequest): void {
  const unknown = Object.entries({
    topK: topK !== 0,
    minP: minP !== 0,
    topLogprobs: topLogprobs !== undefined,
  })
  const [name] = unknown.find(([, isAsked]) => isAsked) ?? []
  if (name !== undefined) throw new RivuletError('invalid-option', `webLlm() has no "${name}".`)
  if (said) throw new RivuletError('generation-failed', 'web-llm cannot go on with an answer that broke off.')
}

/** Undefined where the prompt is raw text. */
function readMessages({ prompt, applyChatTemplate }: GenerateRequest): readonly ChatMessage[] | undefined {
  if (applyChatTemplate === false) return undefined
  return typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt
}

/** web-llm goes on in its KV cache where the conversation is the last one and one question more, and only there. */
function countCached(last: LastRound | undefined, messages: readonly ChatMessage[]): number {
  const isNext =
    last?.messages.length === messages.length - 1 &&
    last.messages.every(
      ({ role, content }, index) => role === messages[index]?.role && content === messages[index].content,
    )
  return isNext ? last.tokens : 0
}

async function startRound(
  engine: MlcEngine,
  request: GenerateRequest,
  messages: readonly ChatMessage[] | undefined,
): Promise<AsyncIterator<MlcChunk>> {
  const options = {
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    repetition_penalty: request.repetitionPenalty,
    frequency_penalty: request.frequencyPenalty,
    presence_penalty: request.presencePenalty,
    logit_bias: request.logitBias,
    seed: request.seed,
  }
  try {
    const chunks = await (messages
      ? engine.chatCompletion({ ...options, messages })
      : engine.completion({ ...options, prompt: request.prompt }))
    return chunks[Symbol.asyncIterator]()
  } catch (error) {
    throw explainFailure(error, 'web-llm refused')
  }
}

async function nextChunk(chunks: AsyncIterator<MlcChunk>): Promise<IteratorResult<MlcChunk>> {
  try {
    return await chunks.next()
  } catch (error) {
    throw explainFailure(error, 'web-llm failed')
  }
}

function readUsage(
  { prompt_tokens: computed, completion_tokens: completionTokens, extra }: NonNullable<MlcChunk['usage']>,
  cachedPromptTokens: number,
): CountedTokens {
  const { time_to_first_token_s: prefill, time_per_output_token_s: token } = extra
  return {
    promptTokens: computed + cachedPromptTokens,
    cachedPromptTokens,
    completionTokens,
    // Its first token comes with the prompt.
    timings: { prefillMs: prefill * 1000, decodeMs: token * 1000 * Math.max(0, completionTokens - 1) },
  }
}
