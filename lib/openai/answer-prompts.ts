import { RivuletError } from '../contract/errors.js'
import type { AnswerEnd, FinishReason, TokenChunk } from '../contract/worker-api.js'
import type { Engine } from '../engine.js'
import type { GenerationResult } from '../generation.js'
import type { TokenStream } from '../token-stream.js'
import type { ReadRequest } from './read-request.js'

/**
 * A part of the answers to the prompts of one request. `index` is the number of the answer: the answers to the first prompt come
 * first.
 */
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

/** One more than the largest seed. */
const seedCount = 2 ** 32

/**
 * Answers the prompts of a request one after the other. The answers to one prompt are generated at the same time if the backend
 * can (`maxConcurrentGenerations`), and share its prefill. Generates only on demand.
 *
 * If the request has a seed, answer number k to a prompt has the seed `(seed + k) mod 2^32`, so that the answers differ and can
 * be repeated. Otherwise each answer draws its seed.
 * @param signal cancels the running generations
 * @throws RivuletError any of the errors of a generation; the reason of `signal`
 */
export async function* answerPrompts(
  engine: Engine,
  { isChat, prompts, options, count }: ReadRequest,
  signal: AbortSignal,
): AsyncGenerator<AnswerPart, undefined> {
  const hasLimit = !isChat && engine.info.supports.options.includes('maxTokens')
  const defaults = hasLimit ? { maxTokens: defaultCompletionTokens } : {}
  const { reasoning, ...others } = options
  // A model whose reasoning cannot be controlled takes what demands nothing, as other servers do.
  const isNeutral = reasoning === 'off' && !engine.info.supports.options.includes('reasoning')
  const sent = isNeutral ? others : options
  const leaving = new AbortController()
  const leave = () => leaving.abort(signal.reason)
  signal.addEventListener('abort', leave)
  if (signal.aborted) leave()
  try {
    for (const [place, prompt] of prompts.entries()) {
      const answers = Array.from({ length: count }, (_, number) => {
        const { seed } = sent
        const ownSeed = seed === undefined ? {} : { seed: number === 0 ? seed : (seed + number) % seedCount }
        const stream = engine.generate(prompt, { ...defaults, ...sent, ...ownSeed, signal: leaving.signal })
        return readAnswer(stream, place * count + number)
      })
      yield* merge(answers)
    }
  } finally {
    // If one answer fails, or the reader leaves, the others end.
    signal.removeEventListener('abort', leave)
    leaving.abort()
  }
}

async function* readAnswer(stream: TokenStream, index: number): AsyncGenerator<AnswerPart, undefined> {
  for await (const chunk of stream) yield { kind: 'chunk', index, chunk }
  const result = await stream.result
  yield { kind: 'end', index, end: checkEnd(result.finishReason), result }
}

/** Yields what several iterators yield, as it comes. Each is asked for its next value when its last one was taken. */
async function* merge<T>(
  sources: readonly AsyncGenerator<T, undefined>[],
): AsyncGenerator<T, undefined, undefined> {
  const ask = async (source: AsyncGenerator<T, undefined>) => ({ source, step: await source.next() })
  const asked = new Map(sources.map((source) => [source, ask(source)]))
  // Only the first failure is reported. The others must not count as unhandled.
  for (const promise of asked.values()) promise.catch(() => {})
  while (asked.size > 0) {
    const { source, step } = await Promise.race(asked.values())
    asked.delete(source)
    if (step.done) continue
    yield step.value
    const promise = ask(source)
    promise.catch(() => {})
    // At the end of the map, so that each source has its turn.
    asked.set(source, promise)
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
