import {
  RivuletError,
  type Engine,
  type GenerationResult,
  type SamplingOptions,
  type TokenChunk,
  type TokenStream,
} from 'rivulet'
import { countForgotten, measure, toMessages, type Chat } from './conversation.js'

export interface AnswerRequest {
  readonly engine: Engine
  readonly chat: Chat
  readonly question: string
  readonly sampling: SamplingOptions
  /** Called with each stream that is started: one, or more where the conversation was too long at first. */
  readonly onStream: (stream: TokenStream) => void
  /** Called when the oldest exchanges were given up to make room. */
  readonly onForget: () => void
  readonly onChunk: (chunk: TokenChunk) => void
}

export type Ending =
  | { readonly kind: 'finished'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly error: unknown }

/**
 * Streams the answer to a question, remembers both in the chat, and forgets the oldest exchanges
 * where the model's context is too short for all of them. Never rejects.
 */
export async function streamAnswer(request: AnswerRequest): Promise<Ending> {
  const { engine, chat, question, onForget } = request
  const surplus = countForgotten(chat, question, engine.info.contextLength)
  if (surplus > 0) forget(chat, surplus, onForget)
  for (;;) {
    try {
      return { kind: 'finished', result: await streamOnce(request) }
    } catch (error) {
      const isTooLong = error instanceof RivuletError && error.code === 'prompt-too-long'
      if (!isTooLong || chat.forgotten === chat.exchanges.length) return { kind: 'failed', error }
      forget(chat, 1, onForget)
    }
  }
}

function forget(chat: Chat, exchanges: number, onForget: () => void): void {
  chat.forgotten += exchanges
  onForget()
}

async function streamOnce({ engine, chat, question, sampling, onStream, onChunk }: AnswerRequest) {
  const messages = toMessages(chat, question)
  const stream = engine.generate(messages, sampling)
  onStream(stream)
  let answer = ''
  try {
    // Read as fast as it comes: only the drawing is paced.
    for await (const chunk of stream) {
      answer += chunk.text
      onChunk(chunk)
    }
    const result = await stream.result
    if (result.finishReason !== 'cancelled') chat.measured = measure(messages, answer, result.usage)
    return result
  } finally {
    if (answer !== '') chat.exchanges.push({ question, answer })
  }
}
