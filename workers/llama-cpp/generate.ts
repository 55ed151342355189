import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { GenerationStep, TokenLogprob } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'
import { toOpenAiBody } from '../openai-body.js'
import { createStopMatcher } from '../text/stop-strings.js'
import type { ConversationMemory } from './conversation-memory.js'
import type { RenderPrompt } from './render-prompt.js'
import type { LlamaCpp } from './runtime.js'

/** What is read of a chunk (llama.cpp's server, "/v1/completions"). */
interface Chunk {
  readonly choices: readonly {
    readonly text: string
    readonly finish_reason: 'stop' | 'length' | null
    readonly logprobs?: { readonly content: readonly ChunkLogprobs[] } | null
  }[]
  /** Of the last one. */
  readonly usage?: object
  readonly timings: Timings
}

/** Up to this chunk. */
interface Timings {
  /** Prompt tokens that were computed, and those that the KV cache held. */
  readonly prompt_n: number
  readonly cache_n: number
  readonly prompt_ms: number
  readonly predicted_n: number
  readonly predicted_ms: number
}

interface ChunkLogprob {
  readonly id: number
  readonly token: string
  readonly logprob: number
}

interface ChunkLogprobs extends ChunkLogprob {
  readonly top_logprobs: readonly ChunkLogprob[]
}

/** A model that can generate. */
export interface LoadedModel {
  readonly runtime: LlamaCpp
  readonly renderPrompt: RenderPrompt
  readonly memory: ConversationMemory
}

/**
 * One token for every pull. llama.cpp is asked for the next one while the last is on its way to its reader, and not before.
 * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`, `worker-failed`; the reason of `signal`
 */
export async function* generateTokens(
  { runtime, renderPrompt, memory }: LoadedModel,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  signal.throwIfAborted()
  const startedAt = performance.now()
  const { options, resume } = request
  const generatedTokens = resume ? resume.handedOver.tokens + resume.generated.tokens : 0
  const body = {
    ...describeRequest(request),
    prompt: renderPrompt(request),
    // Penalties count all tokens so far, as with every backend.
    repeat_last_n: runtime.contextLength,
  }
  if (options.maxTokens === generatedTokens) return 'length'
  const stopMatcher = createStopMatcher(options.stop)
  const answer = startAnswer(runtime, body, signal)
  let finishReason: 'stop' | 'length' | undefined
  let last: Timings | undefined
  let hasStopped = false
  /** A token without a text: the one that ends the answer is such a one, and no part of it. */
  let silent: GenerationStep | undefined
  try {
    for await (const { choices, usage, timings } of answer.chunks()) {
      if (!last) {
        const { prompt_n: computed, cache_n: cached } = timings
        memory.begin(computed + cached, cached)
        const promptTokens = countPrompt(timings, generatedTokens)
        const prefillMs = performance.now() - startedAt
        yield { kind: 'started', promptTokens, cachedPromptTokens: cached, queueMs, prefillMs }
      }
      last = timings
      const [choice] = choices
      if (usage) finishReason = choice?.finish_reason ?? 'stop'
      if (usage || !choice) continue
      memory.addToken()
      if (silent) yield silent
      const matched = stopMatcher.push(choice.text)
      hasStopped = matched.hasStopped
      const logprobs = choice.logprobs?.content.map(readLogprobs(options.topLogprobs ?? 0))
      const tokenIds = logprobs?.map(({ tokenId }) => tokenId) ?? []
      const { text } = matched
      const step = { kind: 'chunk', text, tokenIds, tokenCount: 1, ...(logprobs && { logprobs }) } as const
      silent = choice.text === '' ? step : undefined
      if (!silent) yield step
      if (hasStopped) break
    }
  } finally {
    await answer.end()
  }
  if (silent && finishReason === 'length') yield silent
  const rest = stopMatcher.flush()
  if (rest !== '') yield { kind: 'chunk', text: rest, tokenIds: [], tokenCount: 0 }
  if (last) {
    // The token that ends the text is no part of it.
    const completionTokens = last.predicted_n + generatedTokens - (finishReason === 'stop' ? 1 : 0)
    yield {
      kind: 'counted',
      promptTokens: countPrompt(last, generatedTokens),
      cachedPromptTokens: last.cache_n,
      completionTokens,
      timings: { prefillMs: last.prompt_ms, decodeMs: last.predicted_ms },
    }
  }
  return finishReason ?? 'stop'
}

/** What was said already is prompt to llama.cpp, but to nobody else. */
function countPrompt({ prompt_n: computed, cache_n: cached }: Timings, generatedTokens: number): number {
  return Math.max(0, computed + cached - generatedTokens)
}

/**
 * The fields of llama.cpp's server, which uses its own default for a missing one. Stop strings are matched here, where text
 * that could become one is held back.
 */
function describeRequest(request: GenerateRequest): Record<string, unknown> {
  const { stop: _, ...body } = toOpenAiBody(request, {
    repetitionPenalty: 'repeat_penalty',
    topLogprobs: 'n_probs',
  })
  const { topLogprobs } = request.options
  // With 0 it reports not even the chosen token's.
  return { ...body, timings_per_token: true, ...(topLogprobs === 0 && { n_probs: 1 }) }
}

function readLogprobs(count: number) {
  return ({ top_logprobs: top, ...chosen }: ChunkLogprobs) => ({
    ...readLogprob(chosen),
    top: top.slice(0, count).map(readLogprob),
  })
}

function readLogprob({ id, token, logprob }: ChunkLogprob): TokenLogprob {
  return { tokenId: id, text: token, logprob }
}

interface Answer {
  /** Pull-driven, but for one step. */
  chunks(): AsyncGenerator<Chunk, undefined, undefined>
  /** Frees llama.cpp for the next one. */
  end(): Promise<void>
}

function startAnswer(
  runtime: LlamaCpp,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Answer {
  const leaving = new AbortController()
  const arrived: Chunk[] = []
  /** Chunks that may come before llama.cpp has to wait. */
  let wanted = 1
  let isOver = false
  let wake = () => {}

  async function mayStep(): Promise<void> {
    while (wanted < 1 && !leaving.signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
    leaving.signal.throwIfAborted()
  }

  function leave(): void {
    leaving.abort(leftError())
    wake()
  }

  const completing = runtime
    .complete(
      {
        ...options,
        stream: true,
        abortSignal: leaving.signal,
        onData(chunk) {
          arrived.push(chunk as Chunk)
          wanted -= 1
          wake()
        },
      },
      mayStep,
    )
    .finally(() => {
      isOver = true
      wake()
    })
  completing.catch(() => {})
  signal.addEventListener('abort', leave, { once: true })

  return {
    async *chunks() {
      for (;;) {
        while (arrived.length === 0 && !isOver) await new Promise<void>((resolve) => (wake = resolve))
        signal.throwIfAborted()
        const chunk = arrived.shift()
        if (!chunk) {
          await completing
          return undefined
        }
        // The next one is computed while this one travels.
        wanted += 1
        wake()
        yield chunk
      }
    },
    async end() {
      signal.removeEventListener('abort', leave)
      leave()
      await completing.catch(() => {})
    },
  }
}

function leftError(): RivuletError {
  return new RivuletError('generation-failed', 'Nobody reads this answer any more.')
}
