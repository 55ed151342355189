import type { TokenChunk } from './contract/worker-api.js'
import {
  startGeneration,
  type Generation,
  type GenerationOptions,
  type GenerationResult,
} from './generation.js'

/** What `stream.values()` returns. */
export interface TokenIterator extends ReadableStreamAsyncIterator<TokenChunk> {
  /** Cancels the generation with `reason`, unless `preventCancel`. */
  return(reason?: unknown): Promise<IteratorResult<TokenChunk, undefined>>
}

/**
 * One generation: a `ReadableStream` of chunks with backpressure. `for await` works in every browser, also in Safari 26,
 * whose own streams do not support it. Leaving the loop cancels the generation.
 */
export class TokenStream extends ReadableStream<TokenChunk> {
  readonly #generation: Generation

  /** Created by `engine.generate`. */
  constructor(options: GenerationOptions) {
    let generation: Generation | undefined
    super(
      {
        start: (controller) => {
          generation = startGeneration(options, controller)
        },
        pull: () => generation?.pull(),
        cancel: (reason) => generation?.abandon(reason),
      },
      { highWaterMark: 0 },
    )
    // The stream's constructor has called `start` synchronously.
    this.#generation = generation!
  }

  /**
   * Settles when the generation is over: resolves with `finishReason: 'cancelled'` after any kind of cancel, and rejects
   * with a `RivuletError`, whose `text` is the text so far, after a failure. If nobody reads the stream when this is
   * accessed, the model runs to its end; the chunks wait for a later reader.
   */
  get result(): Promise<GenerationResult> {
    // In a later task: a reader that starts in the current one still gets backpressure.
    setTimeout(() => {
      if (!this.locked) void this.#generation.runToEnd()
    })
    return this.#generation.result
  }

  /**
   * Reads the stream to its end.
   * @returns the whole text
   * @throws the error of the stream
   */
  async text(): Promise<string> {
    let text = ''
    for await (const chunk of this) text += chunk.text
    return text
  }

  /** Ends the generation, also while a reader has the stream locked: the reader then sees its end. */
  override async cancel(reason?: unknown): Promise<void> {
    this.#generation.cancel(reason)
  }

  override [Symbol.asyncIterator](): TokenIterator {
    return this.values()
  }

  /**
   * Iterates as the platform's streams do (Streams Standard, 4.2.5): the stream is locked at once, and `return(reason)`
   * cancels it unless `preventCancel`. It does so at once, also while a `next()` is pending.
   */
  override values({ preventCancel = false } = {}): TokenIterator {
    const reader = this.getReader()
    let isOver = false
    let pending: Promise<unknown> = Promise.resolve()
    const release = () => {
      isOver = true
      reader.releaseLock()
    }
    const iterator: TokenIterator = {
      async next(): Promise<IteratorResult<TokenChunk, undefined>> {
        if (isOver) return { done: true, value: undefined }
        try {
          const read = reader.read()
          pending = read.catch(() => {})
          const { done, value } = await read
          if (!done) return { done, value }
        } catch (error) {
          if (!isOver) release()
          throw error
        }
        if (!isOver) release()
        return { done: true, value: undefined }
      },
      async return(reason?: unknown): Promise<IteratorResult<TokenChunk, undefined>> {
        if (isOver) return { done: true, value: undefined }
        // A failed stream rejects this with the error that `next()` has thrown already.
        if (!preventCancel) reader.cancel(reason).catch(() => {})
        await pending
        if (!isOver) release()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]: () => iterator,
      async [Symbol.asyncDispose]() {
        await iterator.return()
      },
    }
    return iterator
  }
}
