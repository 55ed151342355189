import { createAnswerValue } from '../answer-value.js'
import type { AnswerState, ChatSampling, ChatTool, ChatTurn } from '../chat.js'
import { checkRequest } from '../check-request.js'
import { RivuletError, asRivuletError } from '../contract/errors.js'
import type { ChatMessage, PromptOptions, Tool, ToolChoice } from '../contract/request.js'
import type { TokenChunk } from '../contract/worker-api.js'
import type { Engine } from '../engine.js'
import type { GenerationResult } from '../generation.js'
import type { PartialJson } from '../partial-json.js'
import { createRoundContent, settleCalls, type AnswerContent } from './answer-content.js'
import { findNextExchange, toPrompt } from './context-window.js'
import type { EngineSlot, SeatedEngine } from './engine-slot.js'
import { runToolCalls } from './run-tool-calls.js'

export interface AnswerRequest {
  readonly slot: EngineSlot
  readonly system: string | undefined
  /** The conversation up to the question. */
  readonly turns: readonly ChatTurn[]
  /** The answer to continue; for a new answer, an empty text. */
  readonly partial: AnswerContent
  readonly sampling: ChatSampling
  readonly tools: readonly ChatTool[]
  readonly maxToolRounds: number
  readonly signal: AbortSignal
  /** Called with the number of oldest turns that are not sent to the engine. */
  readonly onForget: (turns: number) => void
  /** Called with the whole answer so far, whenever something is added. */
  readonly onContent: (content: AnswerContent) => void
}

/** How an answer ended. */
export interface Ending {
  readonly content: AnswerContent
  readonly state: AnswerState
  /** Set if the answer failed. */
  readonly error?: RivuletError
}

/**
 * Streams a new answer, or the rest of an existing answer. While the model calls tools, runs them and asks again. Leaves out
 * the oldest exchanges if the conversation does not fit into the context. The returned promise never rejects.
 */
export async function streamAnswer(request: AnswerRequest): Promise<Ending> {
  const { signal, tools, maxToolRounds, partial } = request
  // Reasoning without a text cannot be continued: the model starts again after the last tool calls.
  let content: AnswerContent = partial.text === '' ? withoutText(partial) : partial
  const show = (shown: AnswerContent) => request.onContent((content = shown))
  try {
    for (let rounds = 0; ; rounds += 1) {
      const seated = await request.slot.take(signal)
      if (!seated) return { content, state: { kind: 'finished', finishReason: 'cancelled' } }
      const round = createRoundContent(content, readPartial(request.sampling, content.text))
      const add = (chunk: TokenChunk) => {
        if (round.add(chunk)) show(round.content)
      }
      const isLast = rounds >= maxToolRounds
      const { finishReason, usage, latency } = await streamWhatFits(
        request,
        seated,
        content,
        rounds,
        isLast,
        add,
      )
      // Some servers end an answer that calls tools with `stop`.
      const isComplete = finishReason === 'tool-calls' || finishReason === 'stop'
      const isCalling = isComplete && round.calls.length > 0 && tools.length > 0
      if (!isCalling || isLast) {
        const state = { kind: 'finished', finishReason, usage, latency } as const
        return { content: settleCalls(content, 'The call was not run.'), state }
      }
      await runToolCalls(round.calls, tools, signal, (calls) => {
        round.setCalls(calls)
        show(round.content)
      })
      if (signal.aborted)
        return { content, state: { kind: 'finished', finishReason: 'cancelled', usage, latency } }
    }
  } catch (thrown) {
    if (signal.aborted) return { content, state: { kind: 'finished', finishReason: 'cancelled' } }
    const error = asRivuletError(thrown, 'generation-failed', 'The answer failed')
    const { code, message } = error
    const state = { kind: 'failed', error: { code, message } } as const
    return { content: settleCalls(content, 'The call was not complete.'), state, error }
  }
}

/** Returns a reader of the value that grows in the answer; undefined for an answer without a form. */
function readPartial({ responseFormat }: ChatSampling, text: string): PartialJson | undefined {
  const { options } = checkRequest('?', { responseFormat })
  return createAnswerValue(options.responseFormat, responseFormat, text)?.readPartial()
}

const withoutText = ({ rounds }: AnswerContent): AnswerContent => ({ text: '', ...(rounds && { rounds }) })

async function streamWhatFits(
  request: AnswerRequest,
  { engine, contextWindow }: SeatedEngine,
  content: AnswerContent,
  rounds: number,
  isLast: boolean,
  add: (chunk: TokenChunk) => void,
): Promise<GenerationResult> {
  const { system, onForget } = request
  const { contextLength = Infinity, supports } = engine.info
  const takesTools = supports.roles.includes('tool')
  const isEmpty = content.text === '' && !content.rounds
  const answer: ChatTurn = { ...content, id: '', role: 'assistant', state: { kind: 'waiting' } }
  const turns = isEmpty ? request.turns : [...request.turns, answer]
  const continueFinalMessage = content.text !== ''
  const options = { ...chooseTools(request, rounds, isLast || continueFinalMessage), continueFinalMessage }
  const countOptions = { ...readPromptOptions(request.sampling), ...options, signal: request.signal }
  const conversation = { system, turns, takesTools }
  let forgotten = await contextWindow.countForgotten(engine, conversation, countOptions)
  for (;;) {
    onForget(forgotten)
    const prompt = toPrompt(system, turns.slice(forgotten), takesTools)
    try {
      const result = await streamOnce(request, engine, prompt, options, add)
      const { promptTokens, completionTokens } = result.usage
      const tokens = promptTokens + completionTokens
      // In a short conversation, most tokens come from the chat template. The ratio of tokens to characters is then too
      // high for a long conversation.
      if (promptTokens > 0 && tokens > contextLength / 4) {
        const written = [result.text, result.reasoning, ...result.toolCalls.map((call) => call.arguments)]
        contextWindow.learn(prompt, written.join(''), tokens)
      }
      return result
    } catch (error) {
      const isTooLong = error instanceof RivuletError && error.code === 'prompt-too-long' && error.text === ''
      const next = isTooLong ? findNextExchange(turns, forgotten) : undefined
      if (next === undefined) throw error
      if (contextLength < Infinity) contextWindow.learn(prompt, '', contextLength)
      const fitting = await contextWindow.countForgotten(engine, conversation, countOptions)
      forgotten = Math.max(next, fitting)
    }
  }
}

/**
 * Computes the conversation ahead of its next question, if the engine can. A generation interrupts this.
 * @param keepPrefix true to keep it in the model store, if the engine can
 * @throws the errors of `engine.prefill`; the reason of the signal
 */
export async function prepareAnswer(
  request: Omit<AnswerRequest, 'partial' | 'onForget' | 'onContent'>,
  keepPrefix: boolean,
): Promise<void> {
  const { slot, system, turns, sampling, signal } = request
  const seated = await slot.take(signal)
  if (!seated?.engine.info.supports.prefill) return
  const { engine, contextWindow } = seated
  const takesTools = engine.info.supports.roles.includes('tool')
  const options = { ...readPromptOptions(sampling), ...chooseTools(request, 0, false), signal }
  const forgotten = await contextWindow.countForgotten(engine, { system, turns, takesTools }, options)
  const prompt = toPrompt(system, turns.slice(forgotten), takesTools)
  if (prompt.length === 0) return
  await engine.prefill(prompt, { ...options, keepPrefix: keepPrefix && engine.info.supports.keptPrefixes })
}

/** Returns the sampling options that change the prompt. */
function readPromptOptions({ templateVariables, reasoning }: ChatSampling): PromptOptions {
  return { ...(templateVariables && { templateVariables }), ...(reasoning && { reasoning }) }
}

/**
 * Returns the tools of the next round. A demanded call is demanded only in the first round, because the answer would never end.
 * @param isText true if this round must not call tools
 */
function chooseTools(
  { tools, sampling: { toolChoice: asked } }: Pick<AnswerRequest, 'tools' | 'sampling'>,
  rounds: number,
  isText: boolean,
): { readonly tools?: readonly Tool[]; readonly toolChoice?: ToolChoice } {
  if (tools.length === 0) return {}
  const isForced = asked !== undefined && asked !== 'none'
  const choice = isText ? 'none' : isForced && rounds > 0 ? 'auto' : asked
  return {
    tools: tools.map(({ name, description, parameters }) => ({ name, description, parameters })),
    ...(choice !== undefined && { toolChoice: choice }),
  }
}

async function streamOnce(
  { sampling, signal }: AnswerRequest,
  engine: Engine,
  prompt: readonly ChatMessage[],
  options: ReturnType<typeof chooseTools> & { readonly continueFinalMessage: boolean },
  add: (chunk: TokenChunk) => void,
): Promise<GenerationResult> {
  const stream = engine.generate(prompt, { ...sampling, ...options, signal })
  try {
    for await (const chunk of stream) add(chunk)
  } catch (error) {
    // A cancelled stream still has a result.
    if (!signal.aborted) throw error
  }
  return stream.result
}
