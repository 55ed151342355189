import { RivuletError } from '../../lib/contract/errors.js'
import type { CountedTokens, GenerationStep } from '../../lib/contract/worker-api.js'
import { createAnswerReader, joinSteps, type AnswerStep } from '../text/channels/answer-reader.js'
import { createStopMatcher } from '../text/stop-strings.js'
import type { DescribedRequest } from './describe-request.js'
import type { PrefixReuse } from './prefix-reuse.js'
import type { Chunk, MlcEngine, Usage } from './runtime.js'

/** A character can span several tokens. More U+FFFD than this are the model's own text, not an unfinished character. */
const maxHeldReplacements = 32

interface AnswerContext {
  readonly engine: MlcEngine
  readonly reuse: PrefixReuse
  /** The model's stop strings. web-llm streams the start of a stop string, and removes it later. */
  readonly stopStrings: readonly string[]
  readonly signal: AbortSignal
  readonly queueMs: number
}

/** Runs one web-llm step per pull, or several steps if a token completes no text yet. */
export async function* streamAnswer(
  request: DescribedRequest,
  { engine, reuse, stopStrings, signal, queueMs }: AnswerContext,
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  signal.throwIfAborted()
  const startedAt = performance.now()
  const chunks = (await openStream(engine, request))[Symbol.asyncIterator]()
  const interrupt = () => void engine.interruptGenerate()
  signal.addEventListener('abort', interrupt)
  const text = createTextReader(stopStrings)
  const reader = createAnswerReader(request.splitter, request.stop)
  let finishReason: string | undefined
  let usage: Usage | undefined
  let unreportedTokens = 0
  let hasStarted = false
  let hasStopped = false
  try {
    // `reuse.begin` is not called earlier: a request that web-llm refuses leaves its KV cache unchanged.
    signal.throwIfAborted()
    const cachedPromptTokens = reuse.begin(request)
    for (;;) {
      const { done, value } = await chunks.next()
      if (done) break
      finishReason = value.choices[0]?.finish_reason ?? finishReason
      usage = value.usage ?? usage
      if (!hasStarted) {
        const prefillMs = performance.now() - startedAt
        yield { kind: 'started', promptTokens: undefined, cachedPromptTokens, queueMs, prefillMs }
      }
      hasStarted = true
      // What the runtime generated before it noticed the interrupt.
      if (hasStopped) continue
      if (isToken(value)) unreportedTokens += 1
      const piece = text.read(await engine.getMessage())
      if (piece !== '') {
        const wasReasoning = reader.isReasoning
        const step = reader.push(piece)
        hasStopped = step.hasStopped
        if (hasStopped) interrupt()
        yield describeChunk(step, wasReasoning, unreportedTokens)
        unreportedTokens = 0
      }
      signal.throwIfAborted()
    }
    if (hasStopped) {
      if (usage) yield { kind: 'counted', ...countTokens(usage, cachedPromptTokens, 0) }
      return 'stop'
    }
    const answer = await engine.getMessage()
    const end = readFinishReason(finishReason)
    if (usage && end === 'stop') reuse.keep(request, answer, usage)
    // The end-of-sequence token is not part of the answer.
    const endTokens = end === 'stop' ? 1 : 0
    const last = reader.push(text.readTail(answer))
    const tail = last.hasStopped ? last : joinSteps(last, reader.flush())
    if (tail.text !== '' || tail.raw !== undefined)
      yield describeChunk(tail, false, Math.max(0, unreportedTokens - endTokens))
    if (usage) yield { kind: 'counted', ...countTokens(usage, cachedPromptTokens, endTokens) }
    return tail.hasStopped ? 'stop' : end
  } finally {
    signal.removeEventListener('abort', interrupt)
    // Releases the engine's lock, also when the reader stops early.
    await chunks.return?.()
  }
}

function describeChunk(answer: AnswerStep, wasReasoning: boolean, tokenCount: number): GenerationStep {
  const { hasStopped: _, ...step } = answer
  // A token of the reasoning, also if its text is held back.
  const isReasoning = wasReasoning || step.reasoning !== undefined
  return { kind: 'chunk', ...(isReasoning && { reasoning: '' }), ...step, tokenIds: [], tokenCount }
}

function openStream(engine: MlcEngine, request: DescribedRequest): Promise<AsyncIterable<Chunk>> {
  const { parameters } = request
  return request.kind === 'chat'
    ? engine.chat.completions.create({ ...parameters, messages: request.messages })
    : engine.completions.create({ ...parameters, prompt: request.prompt })
}

function readFinishReason(finishReason: string | undefined): 'stop' | 'length' {
  if (finishReason === 'stop' || finishReason === 'length') return finishReason
  throw new RivuletError(
    'generation-failed',
    `web-llm ended the answer with the unexpected finish reason "${finishReason}".`,
  )
}

/** Returns false for the last two chunks, which contain the finish reason and the usage. */
function isToken({ choices: [choice] }: Chunk): boolean {
  return choice !== undefined && choice.finish_reason === null
}

function countTokens(
  { prompt_tokens, completion_tokens, extra }: Usage,
  cachedPromptTokens: number,
  endTokens: number,
): CountedTokens {
  // Prefill produces the first token.
  const decodeSeconds = extra.time_per_output_token_s * Math.max(0, completion_tokens - 1)
  return {
    promptTokens: cachedPromptTokens + prompt_tokens,
    cachedPromptTokens,
    completionTokens: completion_tokens - endTokens,
    timings: { prefillMs: extra.time_to_first_token_s * 1000, decodeMs: decodeSeconds * 1000 },
  }
}

/** Extracts the new text from web-llm's growing answer. */
function createTextReader(stopStrings: readonly string[]) {
  const matcher = createStopMatcher(stopStrings)
  let readLength = 0
  let reportedLength = 0
  let hasStopped = false
  return {
    /** Returns the new text that is final: without unfinished characters and possible starts of stop strings. */
    read(message: string): string {
      const stableLength = message.length - countReplacements(message)
      // The answer gets shorter at its end, when web-llm removes the stop string.
      if (hasStopped || stableLength <= readLength) return ''
      const piece = matcher.push(message.slice(readLength, stableLength))
      readLength = stableLength
      reportedLength += piece.text.length
      hasStopped = piece.hasStopped
      return piece.text
    },
    /** Returns the text held back so far, when the answer is complete. */
    readTail(message: string): string {
      return hasStopped ? '' : message.slice(reportedLength)
    },
  }
}

/** Counts the U+FFFD at the end of the text that the next tokens may turn into a character. */
function countReplacements(text: string): number {
  let count = 0
  while (text[text.length - 1 - count] === '\uFFFD') count += 1
  return count > maxHeldReplacements ? 0 : count
}
