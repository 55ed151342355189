import { refuse } from '../../lib/contract/check-options.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { GenerationStep, TokenLogprob } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'
import { countGenerated, isComplete, joinAnswer, toOpenAiBody, type OptionWriters } from '../openai-body.js'
import { describeFormat } from '../text/grammar/describe-format.js'
import { createStopMatcher, type StopMatcher } from '../text/stop-strings.js'
import type { ControlTokens } from './control-tokens.js'
import type { CompileForm } from './grammar/compile-form.js'
import type { ConversationMemory } from './conversation-memory.js'
import type { RenderPrompt } from './render-prompt.js'
import type { LlamaCpp } from './runtime.js'

/** The used fields of a chunk that llama.cpp's server sends ("/v1/completions"). */
interface Chunk {
  readonly choices: readonly {
    readonly text: string
    readonly finish_reason: 'stop' | 'length' | null
    readonly logprobs?: { readonly content: readonly ChunkLogprobs[] } | null
  }[]
  /** Present only in the last chunk. */
  readonly usage?: object
  readonly timings: Timings
}

/** Token counts and times from the start of the request up to this chunk. */
interface Timings {
  /** `prompt_n`: prompt tokens that were computed. `cache_n`: prompt tokens that were found in the KV cache. */
  readonly prompt_n: number
  readonly cache_n: number
  readonly prompt_ms: number
  readonly predicted_n: number
  readonly predicted_ms: number
}

interface ChunkLogprob {
  readonly id: number
  readonly token: string
  readonly bytes?: readonly number[]
  readonly logprob: number
}

interface ChunkLogprobs extends ChunkLogprob {
  readonly top_logprobs: readonly ChunkLogprob[]
}

/** The parts of a loaded model that a generation needs. */
export interface LoadedModel {
  readonly runtime: LlamaCpp
  readonly renderPrompt: RenderPrompt
  readonly controlTokens: ControlTokens
  readonly memory: ConversationMemory
  readonly compileForm: CompileForm
}

/**
 * Generates one token each time the reader pulls. llama.cpp computes the next token while the last token travels to the
 * reader, and not earlier.
 * @throws RivuletError `prompt-too-long`, `chat-template-failed`, `generation-failed`, `worker-failed`; the reason of
 *   `signal`
 */
export async function* generateTokens(
  model: LoadedModel,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  const { runtime, renderPrompt, controlTokens, memory } = model
  signal.throwIfAborted()
  const startedAt = performance.now()
  const formFields = describeForm(model, request)
  if (isComplete(request)) return 'length'
  const { options } = request
  const generatedTokens = countGenerated(request)
  /** The control tokens that can end this answer. llama.cpp sends the text of only these. */
  const watched = controlTokens.all.filter(
    (token) => controlTokens.end.includes(token) || options.stop.some((stop) => stop.includes(token)),
  )
  const body = {
    ...describeRequest(request),
    ...formFields,
    ...(watched.length > 0 && { preserved_tokens: watched }),
    prompt: renderPrompt(request),
    // Penalties consider all tokens so far, as in every backend.
    repeat_last_n: runtime.contextLength,
  }
  const stopMatcher = createStopMatcher(options.stop)
  const answer = startAnswer(runtime, body, signal)
  let finishReason: 'stop' | 'length' | undefined
  let last: Timings | undefined
  let hasStopped = false
  /** A token without text. It is held back: it may be the end-of-sequence token, which is not part of the answer. */
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
      const control = watched.find((token) => choice.text.endsWith(token))
      if (control !== undefined && controlTokens.end.includes(control)) {
        silent = undefined
        finishReason = 'stop'
        const { text } = stopMatcher.push(choice.text.slice(0, -control.length))
        if (text !== '') yield { kind: 'chunk', text, tokenIds: [], tokenCount: 0 }
        break
      }
      const matched = matchText(stopMatcher, choice.text, control)
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
    // The end-of-sequence token is not part of the text.
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

/**
 * Returns the fields that demand a form of the answer, from where the answer is.
 * @throws RivuletError `invalid-option`, `generation-failed` if the answer so far does not fit the form
 */
function describeForm(
  { compileForm, controlTokens }: LoadedModel,
  request: GenerateRequest,
): Record<string, unknown> {
  const { responseFormat, logitBias } = request.options
  if (!responseFormat) return {}
  const grammar = compileForm(describeFormat(responseFormat), 'responseFormat', joinAnswer(request))
  // llama.cpp spells control tokens in a text, and its grammar would take their text as content.
  const forbidden = Object.fromEntries(controlTokens.forbiddenIds.map((id) => [id, false]))
  if (grammar !== undefined) return { grammar, logit_bias: { ...logitBias, ...forbidden } }
  if (request.resume) {
    throw new RivuletError('generation-failed', 'The answer so far does not fit "responseFormat". Retry.')
  }
  return refuse(
    'The message to continue does not fit "responseFormat". Correct it, or leave "continueFinalMessage" out.',
    'continueFinalMessage',
  )
}

/** Matches the text of a chunk, which can end with a control token. */
function matchText(stopMatcher: StopMatcher, text: string, control: string | undefined) {
  if (control === undefined) return stopMatcher.push(text)
  const before = stopMatcher.push(text.slice(0, -control.length))
  if (before.hasStopped) return before
  const after = stopMatcher.pushControl(control)
  return { text: before.text + after.text, hasStopped: after.hasStopped }
}

/** Returns the number of prompt tokens. llama.cpp counts a resumed answer as part of the prompt; this function does not. */
function countPrompt({ prompt_n: computed, cache_n: cached }: Timings, generatedTokens: number): number {
  return Math.max(0, computed + cached - generatedTokens)
}

const nothing = () => ({})

/**
 * How llama.cpp's server writes the options. It uses its own default for a missing field. Stop strings are not sent: they are
 * matched in this file, which holds back text that could become a stop string. The options that the prompt and the grammar
 * hold are not sent either.
 */
const writers = {
  repetitionPenalty: 'repeat_penalty',
  // With 0, llama.cpp reports no log-probability at all, not even the chosen token's.
  topLogprobs: (count) => ({ n_probs: Math.max(1, count) }),
  stop: nothing,
  templateVariables: nothing,
  responseFormat: nothing,
} as const satisfies OptionWriters

/** Returns the fields to send to llama.cpp's server. */
function describeRequest(request: GenerateRequest): Record<string, unknown> {
  return { ...toOpenAiBody(request, writers), timings_per_token: true }
}

function readLogprobs(count: number) {
  return ({ top_logprobs: top, ...chosen }: ChunkLogprobs) => ({
    ...readLogprob(chosen),
    top: top.slice(0, count).map(readLogprob),
  })
}

function readLogprob({ id, token, bytes, logprob }: ChunkLogprob): TokenLogprob {
  return { tokenId: id, text: token, ...(token.includes('\uFFFD') && { bytes }), logprob }
}

interface Answer {
  /** Yields one chunk per pull. llama.cpp computes at most one chunk in advance. */
  chunks(): AsyncGenerator<Chunk, undefined, undefined>
  /** Ends the answer and frees llama.cpp for the next one. */
  end(): Promise<void>
}

function startAnswer(
  runtime: LlamaCpp,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Answer {
  const leaving = new AbortController()
  const arrived: Chunk[] = []
  /** How many chunks llama.cpp may still produce before it must wait. */
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
        // Lets llama.cpp compute the next chunk while this chunk travels to the reader.
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
  return new RivuletError('generation-failed', 'The answer was cancelled: its reader left.')
}
