import { refuse } from '../../lib/contract/check-options.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep, TokenLogprob } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'
import { countGenerated, isComplete } from '../openai-body.js'
import type { AnswerGrammar } from '../text/answer-grammar.js'
import { listMarks, type AnswerFamily } from '../text/channels/answer-family.js'
import type { AnswerStep } from '../text/channels/answer-reader.js'
import { endThought } from '../text/channels/reasoning-control.js'
import type { PromptPart } from '../text/chat-template.js'
import type { CompileForm } from '../text/gbnf/compile-form.js'
import { catchUp } from './catch-up.js'
import type { ControlTokens } from './control-tokens.js'
import type { ConversationMemory } from './conversation-memory.js'
import { describeCompletion } from './describe-completion.js'
import { prepareAnswer, type LoadedModel, type RunningAnswer } from './prepare-answer.js'
import { runCompletion, type ChunkLogprob, type ChunkLogprobs, type Timings } from './run-completion.js'

/**
 * Generates one token each time the reader pulls. llama.cpp computes the next token while the last token travels to the
 * reader, and not earlier. A resumed answer is generated again up to its end if it would be another one otherwise.
 * @throws RivuletError `invalid-option` for a form that llama.cpp cannot hold, `prompt-too-long`, `chat-template-failed`,
 *   `generation-failed`, `worker-failed`; the reason of `signal`
 */
export async function* generateTokens(
  model: LoadedModel,
  request: GenerateRequest,
  context: GenerateContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  context.signal.throwIfAborted()
  const { resume } = request
  if (resume && !isComplete(request) && (await mustStartAgain(model, request, context))) {
    const again = { ...request, resume: { ...resume, generated: nothing } }
    const end = yield* catchUp(generateAnswer(model, again, context), resume, request)
    if (end !== undefined) return end
  }
  return yield* generateAnswer(model, request, context)
}

const nothing: Resume['generated'] = { text: '', tokens: 0, tokenIds: [] }

/**
 * True if a resumed answer can only be the same if it is generated again from its start. wllama 3.13.0 takes a prompt as text, not
 * as token ids. A form makes tokens that the tokenizer does not make of their text, and a seed starts at the first token.
 * Without a seed, a sampled answer can be any answer: it continues, which costs less.
 */
async function mustStartAgain(
  model: LoadedModel,
  request: GenerateRequest,
  context: GenerateContext,
): Promise<boolean> {
  const { generated } = request.resume ?? {}
  const { temperature, seed } = request.options
  if (!generated || generated.tokens === 0) return false
  if (temperature !== 0) return seed !== undefined
  const { grammar, before, text } = prepareAnswer(model, request, context)
  if (grammar) return true
  const { runtime, writePrompt, countedToken } = model
  if (countedToken === undefined) return false
  const count = (parts: readonly PromptPart[]) => runtime.countTokens(writePrompt(parts), countedToken)
  const tokens = (await count([...before, ...text.parts])) - (await count(before))
  return tokens !== generated.tokens
}

async function* generateAnswer(
  model: LoadedModel,
  request: GenerateRequest,
  context: GenerateContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  context.signal.throwIfAborted()
  const running = prepareAnswer(model, request, context)
  if (isComplete(request)) return 'length'
  if (request.prefillOnly) return yield* prefill(model, running)
  let end = yield* complete(model, running)
  while (end === 'reasoning-used') end = yield* continueAfterThought(model, running)
  yield* flush(running)
  const { first, last } = running
  if (first && last) {
    const promptTokens = countPrompt(first, countGenerated(request))
    // A completion after a thought has what came before it in its prompt. The end-of-sequence token is not part of the text.
    const added = last.prompt_n + last.cache_n + last.predicted_n - (first.prompt_n + first.cache_n)
    yield {
      kind: 'counted',
      promptTokens,
      cachedPromptTokens: first.cache_n,
      completionTokens: added + countGenerated(request) - (running.hasEndToken ? 1 : 0),
      timings: { prefillMs: first.prompt_ms, decodeMs: running.decodeMs + last.predicted_ms },
    }
  }
  return end === 'stop' && running.text.hasCalls ? 'tool-calls' : end
}

/**
 * Returns the number of prompt tokens that `generateTokens` reports for the request.
 * @throws RivuletError `invalid-option`, `chat-template-failed`, `generation-failed`, `worker-failed`; the reason of `signal`
 */
export async function countPromptTokens(
  model: LoadedModel,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<number> {
  const { runtime, writePrompt, countedToken } = model
  if (countedToken === undefined)
    refuse('llamaCpp() cannot count tokens with a model without control tokens.')
  const { before } = prepareAnswer(model, request, { signal, queueMs: 0 })
  const count = await runtime.countTokens(writePrompt(before), countedToken)
  signal.throwIfAborted()
  return count
}

/** Computes the prompt. llama.cpp also samples the first token, which is dropped. */
async function* prefill(
  model: LoadedModel,
  running: RunningAnswer,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  for await (const step of complete(model, running)) {
    if (step.kind !== 'started') continue
    yield step
    break
  }
  return 'length'
}

/** Runs llama.cpp until the answer ends, or its reasoning has used all its tokens. */
async function* complete(
  model: LoadedModel,
  running: RunningAnswer,
): AsyncGenerator<GenerationStep, 'stop' | 'length' | 'reasoning-used', undefined> {
  const { runtime, controlTokens, family, memory } = model
  const { request, context, text: answer } = running
  const { stop, topLogprobs } = request.options
  /** The control tokens whose text llama.cpp sends: those that end an answer, or mark a channel. */
  const watched = [...new Set([...controlTokens.end, ...listWatched(controlTokens, stop, family)])]
  const completion = runCompletion(runtime, describeBody(model, running, watched), context.signal)
  let finishReason: 'stop' | 'length' | undefined
  /** A token without text. It is held back: it may be the end-of-sequence token, which is not part of the answer. */
  let silent: GenerationStep | undefined
  let isFirst = true
  try {
    for await (const { choices, usage, timings, prompt_progress: progress } of completion.chunks()) {
      if (progress) {
        const { total: totalTokens, cache, processed: computedTokens } = progress
        // llama.cpp also reports the start and the end of the prompt.
        if (computedTokens > cache && computedTokens < totalTokens)
          yield { kind: 'prefilling', computedTokens, totalTokens }
        continue
      }
      if (isFirst) yield* begin(running, memory, timings)
      isFirst = false
      running.last = timings
      const [choice] = choices
      if (usage) finishReason = choice?.finish_reason ?? 'stop'
      if (usage || !choice) continue
      memory.addToken()
      if (silent) {
        running.tokens += 1
        yield silent
        silent = undefined
      }
      const control = watched.find((token) => choice.text.endsWith(token))
      const isEnd = control !== undefined && controlTokens.end.includes(control)
      const words = control === undefined ? choice.text : choice.text.slice(0, -control.length)
      const { hasStopped, ...step } = answer.push(words, isEnd ? undefined : control)
      if (isEnd) {
        finishReason = 'stop'
        if (hasContent(step)) yield { kind: 'chunk', ...step, tokenIds: [], tokenCount: 0 }
        break
      }
      const logprobs = choice.logprobs?.content.map(readLogprobs(topLogprobs ?? 0))
      const tokenIds = logprobs?.map(({ tokenId }) => tokenId) ?? []
      const chunk = {
        kind: 'chunk',
        ...step,
        tokenIds,
        tokenCount: 1,
        ...(logprobs && { logprobs }),
      } as const
      if (choice.text === '') silent = chunk
      else {
        running.tokens += 1
        yield chunk
      }
      if (hasStopped) return 'stop'
      if (answer.isReasoningUsedUp) return 'reasoning-used'
    }
  } finally {
    await completion.end()
  }
  if (silent && finishReason === 'length') yield silent
  running.hasEndToken = finishReason === 'stop'
  return finishReason ?? 'stop'
}

/** Ends a thought that has used all its tokens, and lets llama.cpp continue after it. */
async function* continueAfterThought(
  model: LoadedModel,
  running: RunningAnswer,
): AsyncGenerator<GenerationStep, 'stop' | 'length' | 'reasoning-used', undefined> {
  const { request, text: answer, last } = running
  const { maxTokens = Infinity, toolChoice } = request.options
  const mustCall = toolChoice === 'required' || typeof toolChoice === 'object'
  if (running.tokens >= maxTokens) return 'length'
  const { step, pieces } = answer.force(endThought(model.family, mustCall))
  const { hasStopped: _, ...added } = step
  running.tokens += pieces
  running.decodeMs += last?.predicted_ms ?? 0
  yield { kind: 'chunk', ...added, tokenIds: [], tokenCount: pieces }
  return running.tokens >= maxTokens ? 'length' : yield* complete(model, running)
}

function* begin(
  running: RunningAnswer,
  memory: ConversationMemory,
  timings: Timings,
): Generator<GenerationStep, void, undefined> {
  const { prompt_n: computed, cache_n: cached } = timings
  memory.begin(computed + cached, cached)
  if (running.first) return
  running.first = timings
  const { request, context, startedAt } = running
  yield {
    kind: 'started',
    promptTokens: countPrompt(timings, countGenerated(request)),
    cachedPromptTokens: cached,
    queueMs: context.queueMs,
    prefillMs: performance.now() - startedAt,
  }
}

/** Yields what was held back until the end. */
function* flush({ text }: RunningAnswer): Generator<GenerationStep, void, undefined> {
  const { hasStopped: _, ...rest } = text.flush()
  if (hasContent(rest)) yield { kind: 'chunk', ...rest, tokenIds: [], tokenCount: 0 }
}

/** Returns the control tokens of the model that stop strings contain, or that mark the channels of an answer. */
function listWatched(
  { all }: ControlTokens,
  stop: readonly string[],
  family: AnswerFamily,
): readonly string[] {
  const marks = listMarks(family)
  return all.filter((token) => marks.includes(token) || stop.some((each) => each.includes(token)))
}

function describeBody(
  { runtime, writePrompt, compileForm, controlTokens }: LoadedModel,
  { request, text, before, grammar, formStart, tokens, first }: RunningAnswer,
  watched: readonly string[],
): Readonly<Record<string, unknown>> {
  const { maxTokens } = request.options
  return {
    ...describeCompletion(request),
    ...(maxTokens !== undefined && { max_tokens: maxTokens - tokens }),
    ...(grammar && holdForm(compileForm, controlTokens, request.options, grammar, formStart + text.raw)),
    ...(watched.length > 0 && { preserved_tokens: watched }),
    // After a thought, the answer has already started.
    ...(request.reportsPrefill && !first && { return_progress: true }),
    prompt: writePrompt([...before, ...text.parts]),
    // Penalties consider all tokens so far, as in every backend.
    repeat_last_n: runtime.contextLength,
  }
}

/**
 * Returns the fields that hold the form of the answer, from where the answer is.
 * @throws RivuletError `generation-failed` if the answer so far does not fit the form
 */
function holdForm(
  compileForm: CompileForm,
  { forbidden }: ControlTokens,
  { logitBias }: RequestOptions,
  { form, option, marks }: AnswerGrammar,
  raw: string,
): object {
  const grammar = compileForm(form, option, raw)
  if (grammar === undefined) {
    throw new RivuletError(
      'generation-failed',
      `The answer so far does not fit "${option}". Send the request again.`,
    )
  }
  // llama.cpp's grammar takes the text of a control token for content.
  const banned = [...forbidden].filter(([token]) => !marks.includes(token)).map(([, id]) => [id, false])
  return { grammar, logit_bias: { ...logitBias, ...Object.fromEntries(banned) } }
}

function hasContent({ text, reasoning, toolCalls, raw }: Omit<AnswerStep, 'hasStopped'>): boolean {
  return text !== '' || (reasoning ?? '') !== '' || toolCalls !== undefined || (raw ?? '') !== ''
}

/** Returns the number of prompt tokens. llama.cpp counts a resumed answer as part of the prompt; this function does not. */
function countPrompt({ prompt_n: computed, cache_n: cached }: Timings, generatedTokens: number): number {
  return Math.max(0, computed + cached - generatedTokens)
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
