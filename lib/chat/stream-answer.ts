import type { AnswerState, ChatSampling, ChatTurn } from '../chat.js'
import { RivuletError, asRivuletError } from '../contract/errors.js'
import type { ChatMessage } from '../contract/request.js'
import type { Engine } from '../engine.js'
import type { GenerationResult } from '../generation.js'
import { findNextExchange, toPrompt } from './context-window.js'
import type { EngineSlot, SeatedEngine } from './engine-slot.js'

export interface AnswerRequest {
  readonly slot: EngineSlot
  readonly system: string | undefined
  /** The conversation. The last turn is the question, or the answer to continue. */
  readonly turns: readonly ChatTurn[]
  /** The existing text of the answer to continue; empty for a new answer. */
  readonly partialText: string
  readonly sampling: ChatSampling
  readonly signal: AbortSignal
  /** Called with the number of oldest turns that are not sent to the engine. */
  readonly onForget: (turns: number) => void
  /** Called with the whole text of the answer so far, whenever text is added. */
  readonly onText: (text: string) => void
}

/** How an answer ended. */
export interface Ending {
  readonly text: string
  readonly state: AnswerState
  /** Set if the answer failed. */
  readonly error?: RivuletError
}

/**
 * Streams a new answer, or the rest of an existing answer. Leaves out the oldest exchanges if the conversation does not fit
 * into the context. The returned promise never rejects.
 */
export async function streamAnswer(request: AnswerRequest): Promise<Ending> {
  let text = request.partialText
  const add = (added: string) => {
    if (added === '') return
    text += added
    request.onText(text)
  }
  try {
    const seated = await request.slot.take(request.signal)
    if (!seated) return { text, state: { kind: 'finished', finishReason: 'cancelled' } }
    const { text: added, finishReason, usage, latency } = await streamWhatFits(request, seated, add)
    return { text: request.partialText + added, state: { kind: 'finished', finishReason, usage, latency } }
  } catch (thrown) {
    const error = asRivuletError(thrown, 'generation-failed', 'The answer failed')
    const { code, message } = error
    return { text, state: { kind: 'failed', error: { code, message } }, error }
  }
}

async function streamWhatFits(
  request: AnswerRequest,
  { engine, contextWindow }: SeatedEngine,
  add: (text: string) => void,
): Promise<GenerationResult> {
  const { system, turns, onForget } = request
  const { contextLength = Infinity } = engine.info
  let forgotten = contextWindow.countForgotten(system, turns, contextLength)
  for (;;) {
    onForget(forgotten)
    const prompt = toPrompt(system, turns.slice(forgotten))
    try {
      const result = await streamOnce(request, engine, prompt, add)
      const { promptTokens, completionTokens } = result.usage
      const tokens = promptTokens + completionTokens
      // In a short conversation, most tokens come from the chat template. The ratio of tokens to characters is then too
      // high for a long conversation.
      if (promptTokens > 0 && tokens > contextLength / 4) contextWindow.learn(prompt, result.text, tokens)
      return result
    } catch (error) {
      const isTooLong = error instanceof RivuletError && error.code === 'prompt-too-long' && error.text === ''
      const next = isTooLong ? findNextExchange(turns, forgotten) : undefined
      if (next === undefined) throw error
      if (contextLength < Infinity) contextWindow.learn(prompt, '', contextLength)
      forgotten = Math.max(next, contextWindow.countForgotten(system, turns, contextLength))
    }
  }
}

async function streamOnce(
  { partialText, sampling, signal }: AnswerRequest,
  engine: Engine,
  prompt: readonly ChatMessage[],
  add: (text: string) => void,
): Promise<GenerationResult> {
  const continueFinalMessage = partialText !== ''
  const stream = engine.generate(prompt, { ...sampling, continueFinalMessage, signal })
  try {
    for await (const { text } of stream) add(text)
  } catch (error) {
    // A cancelled stream still has a result.
    if (!signal.aborted) throw error
  }
  return stream.result
}
