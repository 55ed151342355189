import { readPartialValues, type AnswerValue } from './answer-value.js'
import { refuse } from './contract/check-options.js'
import type { TokenChunk } from './contract/worker-api.js'
import {
  startGeneration,
  type Generation,
  type GenerationOptions,
  type GenerationResult,
} from './generation.js'

/** The iterator that `stream.values()` returns. */
export interface TokenIterator extends ReadableStreamAsyncIterator<TokenChunk> {
  /** Cancels the generation with `reason`, unless `preventCancel` was set. */
  return(reason?: unknown): Promise<IteratorResult<TokenChunk, undefined>>
}

/**
 * The stream of one generation: a `ReadableStream` of chunks with backpressure. `for await` works in every browser, also in
 * Safari 26, whose own streams do not support it. Leaving the loop cancels the generation.
 */
export class TokenStream<Value = unknown, Partial = unknown> extends ReadableStream<TokenChunk> {
  readonly #generation: Generation
  readonly #answerValue: AnswerValue | undefined

  /** Creates the stream of one generation. `engine.generate` calls this. */
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
    this.#answerValue = options.answerValue
  }

  /**
   * Settles when the generation is over. After any kind of cancel, resolves with `finishReason: 'cancelled'`. After a
   * failure, rejects with a `RivuletError`, whose `text` is the text so far. If the answer is complete and its value is not
   * valid by `responseFormat`, rejects with `value-invalid`: the stream then ends as usual, and only the result fails. If nobody reads the stream when `result` is
   * accessed, the model runs to its end, and the chunks wait for a later reader.
   */
  get result(): Promise<GenerationResult<Value, Partial>> {
    // This runs in a later task, so that a reader that starts in the current task still gets backpressure.
    setTimeout(() => {
      if (!this.locked) void this.#generation.runToEnd()
    })
    // Cast: the types of the values come from the option `responseFormat`, which `answerValue` was created for.
    return this.#generation.result as Promise<GenerationResult<Value, Partial>>
  }

  /**
   * Reads the stream, and iterates over the value of `responseFormat` while it grows. Each value is a new, plain snapshot,
   * which is not validated: `(await stream.result).value` is the validated one. In a JSON value only the last string, and the
   * lists and objects around it, can still grow. Leaving the loop cancels the generation.
   * @throws RivuletError `invalid-option` without `responseFormat`
   */
  partialValues(): AsyncIterableIterator<Partial, undefined> {
    if (!this.#answerValue) refuse('partialValues() needs the option "responseFormat".', 'responseFormat')
    const values = readPartialValues(this.values(), this.#answerValue.readPartial())
    // Cast: as in `result`.
    return values as AsyncIterableIterator<Partial, undefined>
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

  /**
   * Ends the generation, also while a reader has locked the stream. The reader then sees the end of the stream.
   * @throws the stream's error if the stream has failed, as streams of the platform do
   */
  override async cancel(reason?: unknown): Promise<void> {
    this.#generation.cancel(reason)
  }

  override [Symbol.asyncIterator](): TokenIterator {
    return this.values()
  }

  /**
   * Returns an iterator that works as the platform's does (Streams Standard, 4.2.5): it locks the stream at once, and
   * `return(reason)` cancels the stream at once, also while a `next()` is pending, unless `preventCancel` is set.
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
        // If the stream has failed, `cancel` rejects with the error that `next()` has thrown already.
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
