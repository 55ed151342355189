import type { GenerateRequest } from '../../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../../lib/contract/worker-api.js'
import type { GenerateContext } from '../../backend.js'
import { pause } from '../../http-retry.js'
import { prepareAnswer, type PreparedAnswer } from '../../onnx/prepare-answer.js'
import { dropStreamed, hasContent } from '../../onnx/read-tokens.js'
import { joinSteps, type AnswerStep } from '../../text/channels/answer-reader.js'
import { endThought } from '../../text/channels/reasoning-control.js'
import { checkDemands } from '../check-demands.js'
import { createAbortedError, readAnswerEnd } from '../finish-reason.js'
import { checkRequest, describeGeneration } from './describe-generation.js'
import type { GrpcWebServer } from './grpc-web-backend.js'
import { readLogprobs } from './read-logprobs.js'
import { readMessages, type TokenBatch } from './read-messages.js'

/** The maximum number of attempts in a row to go on with an answer. After new tokens, the count starts again. */
const maxAttempts = 3
const firstPauseMs = 250

/**
 * Streams an answer: the prompt's tokens go to the server, and the answer's tokens come back.
 * @throws RivuletError `prompt-too-long`, `invalid-option`, `chat-template-failed`, `generation-failed`, `connection-failed`,
 *   `model-not-found`; the reason of `signal`
 */
export async function* streamTokens(
  server: GrpcWebServer,
  request: GenerateRequest,
  context: GenerateContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const startedAt = performance.now()
  const prepared = await prepareAnswer(server.config, request, context.signal)
  checkRequest(request, prepared)
  if (prepared.replayed.hasStopped) return 'stop'
  const steps = readAnswer(server, request, prepared, context, startedAt)
  return yield* checkDemands(request.options, steps)
}

/** Why a request is over: as the server ended it; at a stop string; or because its reasoning has used all its tokens. */
type RequestEnd = AnswerEnd | 'stop-string' | 'reasoning-used-up'

async function* readAnswer(
  { client, config, transport }: GrpcWebServer,
  request: GenerateRequest,
  prepared: PreparedAnswer,
  { signal, queueMs }: GenerateContext,
  startedAt: number,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const { tokenizer, family, endIds } = config
  const { conversationIds, startIds, prefixTokens, maxTokens, answer, replayed } = prepared
  const { handedOver, generated } = prepared.resume
  const promptIds = [...conversationIds, ...startIds]
  /** The prompt, and the answer so far. */
  const ids = [...promptIds, ...generated.tokenIds]
  const countTokens = () => handedOver.tokens + ids.length - promptIds.length
  let hasStarted = false
  let attempts = 0
  let lost: unknown

  for (;;) {
    if (countTokens() >= maxTokens) return yield* finish('length')
    if (answer.isReasoningUsedUp) {
      const { chunk, hasStopped } = await force()
      yield chunk
      if (hasStopped) return 'stop'
      continue
    }
    try {
      const end = yield* readRequest()
      if (end === 'stop-string') return 'stop'
      if (end !== 'reasoning-used-up') return yield* finish(end)
    } catch (error) {
      if (attempts === 0) lost = error
      // A form would start again in the middle of the answer.
      const canResume = transport.resume && hasStarted && !request.options.responseFormat
      if (!canResume || !client.isBroken(error)) throw error
      if (attempts === maxAttempts || findRemainingMs() <= 0) throw lost
      if (attempts > 0) await pause(firstPauseMs * 2 ** (attempts - 1), signal)
      attempts += 1
    }
  }

  /** Sends the prompt with the answer so far, and reads what follows. */
  async function* readRequest(): AsyncGenerator<GenerationStep, RequestEnd, undefined> {
    const generation = describeGeneration(config, request, ids, maxTokens - countTokens())
    const batches = readMessages(client, generation, findRemainingMs(), signal)
    let hasEnded = false
    try {
      for (;;) {
        const { done, value } = await batches.next()
        if (done) return hasEnded ? 'stop' : readEnd(value)
        if (!hasStarted) yield start(value)
        hasStarted = true
        const taken: readonly number[] = hasEnded ? [] : take(value.tokenIds)
        if (taken.length > 0) {
          if (attempts > 0) yield { kind: 'resumed' }
          attempts = 0
          const { chunk, hasStopped } = add(taken, value)
          yield chunk
          if (hasStopped) return 'stop-string'
          if (answer.isReasoningUsedUp) return 'reasoning-used-up'
        }
        hasEnded ||= value.tokenIds.some((id) => endIds.has(id))
      }
    } catch (error) {
      // Behind the token that ends the answer, no token can be missing.
      if (hasEnded && client.isBroken(error)) return 'stop'
      throw error
    } finally {
      await batches.return('')
    }
  }

  function start({ cachedTokens }: TokenBatch): GenerationStep {
    const promptTokens = conversationIds.length + prefixTokens
    const cachedPromptTokens = Math.min(cachedTokens, promptTokens)
    return {
      kind: 'started',
      promptTokens,
      cachedPromptTokens,
      queueMs,
      prefillMs: performance.now() - startedAt,
    }
  }

  /** Returns the tokens before one that ends the answer, up to `maxTokens`. */
  function take(tokenIds: readonly number[]): readonly number[] {
    const end = tokenIds.findIndex((id) => endIds.has(id))
    return tokenIds.slice(0, end === -1 ? maxTokens - countTokens() : end)
  }

  /** Adds tokens to the answer, up to a stop string or the end of the reasoning. */
  function add(tokenIds: readonly number[], { logprobs }: Pick<TokenBatch, 'logprobs'>) {
    let step: AnswerStep = { text: '', hasStopped: false }
    let length = 0
    while (length < tokenIds.length && !step.hasStopped && !(length > 0 && answer.isReasoningUsedUp)) {
      step = joinSteps(step, answer.push(tokenIds[length]!))
      length += 1
    }
    const added = tokenIds.slice(0, length)
    ids.push(...added)
    const { hasStopped, ...content } = step
    const chosen = readLogprobs(logprobs, added, request.options.topLogprobs, tokenizer)
    const chunk = {
      kind: 'chunk',
      ...content,
      tokenIds: added,
      tokenCount: added.length,
      ...(chosen && { logprobs: chosen }),
    } as const
    return { chunk, hasStopped }
  }

  /** Adds the marks that end the reasoning. */
  async function force() {
    const marks = await tokenizer.encode([{ text: endThought(family, false), isContent: false }], signal)
    const forced = marks.slice(0, maxTokens - countTokens())
    let step: AnswerStep = { text: '', hasStopped: false }
    for (const id of forced) step = joinSteps(step, answer.push(id))
    ids.push(...forced)
    const { hasStopped, ...content } = step
    const chunk = { kind: 'chunk', ...content, tokenIds: forced, tokenCount: forced.length } as const
    return { chunk, hasStopped }
  }

  /** Ends the answer with what is held back. */
  async function* finish(end: AnswerEnd): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
    const { hasStopped, ...rest } = dropStreamed(answer.flush(), replayed, generated)
    if (hasContent(rest)) yield { kind: 'chunk', ...rest, tokenIds: [], tokenCount: 0 }
    if (hasStopped) return 'stop'
    return end === 'stop' && answer.hasCalls ? 'tool-calls' : end
  }

  /** Returns the time until the deadline. */
  function findRemainingMs(): number {
    return Math.ceil(startedAt + (transport.timeoutMs ?? Infinity) - performance.now())
  }
}

function readEnd(finishReason: string): AnswerEnd {
  const end = readAnswerEnd(finishReason)
  if (end) return end
  throw createAbortedError(finishReason)
}
