import { RivuletError } from '../../lib/contract/errors.js'
import type { CountedTokens, GenerationStep } from '../../lib/contract/worker-api.js'
import { createStopMatcher } from '../text/stop-strings.js'
import type { DescribedRequest } from './describe-request.js'
import type { PrefixReuse } from './prefix-reuse.js'
import type { Chunk, MlcEngine, Usage } from './runtime.js'

/** A character's bytes can come in several tokens; a model can also mean U+FFFD. */
const maxHeldReplacements = 32

interface AnswerContext {
  readonly engine: MlcEngine
  readonly reuse: PrefixReuse
  /** The model's own: web-llm streams what may become one, and takes it back. */
  readonly stopStrings: readonly string[]
  readonly signal: AbortSignal
  readonly queueMs: number
}

/** One of web-llm's steps for each pull, but where a token brings no text that can be told yet. */
export async function* streamAnswer(
  request: DescribedRequest,
  { engine, reuse, stopStrings, signal, queueMs }: AnswerContext,
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  signal.throwIfAborted()
  const startedAt = performance.now()
  const chunks = (await openStream(engine, request))[Symbol.asyncIterator]()
  const interrupt = () => void engine.interruptGenerate()
  signal.addEventListener('abort', interrupt)
  const text = createTextReader([...stopStrings, ...(request.parameters.stop ?? [])])
  let finishReason: string | undefined
  let usage: Usage | undefined
  let untold = 0
  let hasStarted = false
  try {
    // Not earlier: what web-llm has refused leaves its KV cache as it is.
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
      if (isToken(value)) untold += 1
      const piece = text.read(await engine.getMessage())
      if (piece !== '') {
        yield { kind: 'chunk', text: piece, tokenIds: [], tokenCount: untold }
        untold = 0
      }
      signal.throwIfAborted()
    }
    const answer = await engine.getMessage()
    const end = readFinishReason(finishReason)
    if (usage && end === 'stop') reuse.keep(request, answer, usage)
    const tail = text.readTail(answer)
    // The token that ends the answer is none of it.
    const tokenCount = Math.max(0, end === 'stop' ? untold - 1 : untold)
    if (tail !== '') yield { kind: 'chunk', text: tail, tokenIds: [], tokenCount }
    if (usage) yield { kind: 'counted', ...countTokens(usage, cachedPromptTokens, end) }
    return end
  } finally {
    signal.removeEventListener('abort', interrupt)
    // Frees the engine's lock, also where the answer is left in its middle.
    await chunks.return?.()
  }
}

function openStream(engine: MlcEngine, request: DescribedRequest): Promise<AsyncIterable<Chunk>> {
  const { parameters } = request
  return request.kind === 'chat'
    ? engine.chat.completions.create({ ...parameters, messages: request.messages })
    : engine.completions.create({ ...parameters, prompt: request.prompt })
}

function readFinishReason(finishReason: string | undefined): 'stop' | 'length' {
  if (finishReason === 'stop' || finishReason === 'length') return finishReason
  throw new RivuletError('generation-failed', `web-llm ended the answer with "${finishReason}".`)
}

/** Its last two tell why it ended, and what was counted. */
function isToken({ choices: [choice] }: Chunk): boolean {
  return choice !== undefined && choice.finish_reason === null
}

function countTokens(
  { prompt_tokens, completion_tokens, extra }: Usage,
  cachedPromptTokens: number,
  end: 'stop' | 'length',
): CountedTokens {
  // The first token comes with the prompt.
  const decodeSeconds = extra.time_per_output_token_s * Math.max(0, completion_tokens - 1)
  return {
    promptTokens: cachedPromptTokens + prompt_tokens,
    cachedPromptTokens,
    completionTokens: completion_tokens - (end === 'stop' ? 1 : 0),
    timings: { prefillMs: extra.time_to_first_token_s * 1000, decodeMs: decodeSeconds * 1000 },
  }
}

/** Reads what can be told of an answer of which web-llm shows the whole, as it stands. */
function createTextReader(stopStrings: readonly string[]) {
  const matcher = createStopMatcher(stopStrings)
  let readLength = 0
  let toldLength = 0
  let hasStopped = false
  return {
    /** What has become certain, without halves of characters and of stop strings. */
    read(message: string): string {
      const stableLength = message.length - countReplacements(message)
      // At its end an answer becomes shorter: web-llm takes the stop string away.
      if (hasStopped || stableLength <= readLength) return ''
      const piece = matcher.push(message.slice(readLength, stableLength))
      readLength = stableLength
      toldLength += piece.text.length
      hasStopped = piece.hasStopped
      return piece.text
    },
    /** What was held back, of an answer that is complete. */
    readTail(message: string): string {
      return hasStopped ? '' : message.slice(toldLength)
    },
  }
}

/** How many U+FFFD end the text that may yet become a character. */
function countReplacements(text: string): number {
  let count = 0
  while (text[text.length - 1 - count] === '\uFFFD') count += 1
  return count > maxHeldReplacements ? 0 : count
}
