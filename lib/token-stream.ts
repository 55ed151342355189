import type { TokenChunk } from './contract/worker-api.js'
import { readGeneration, type Generation, type GenerationResult } from './generation.js'
import type { GenerationSource } from './generation-source.js'
import { observeGeneration } from './observer.js'

/**
 * One generation: a `ReadableStream` of chunks that holds the model back while nobody reads,
 * and iterates with `for await` also where the platform's streams do not (Safari 26).
 * Leaving the loop cancels the generation.
 */
export class TokenStream extends ReadableStream<TokenChunk> {
  readonly #generation: Generation

  /** Made by `engine.generate`. */
  constructor(source: GenerationSource) {
    let generation: Generation | undefined
    super(
      {
        start: (controller) => {
          generation = observeGeneration(controller, (observed) => readGeneration(source, observed))
        },
        pull: () => generation?.pull(),
        cancel: () => generation?.abandon(),
      },
      { highWaterMark: 0 },
    )
    // `start` has run: the stream's constructor calls it synchronously.
    this.#generation = generation!
  }

  /**
   * Settles when the generation is over: with `finishReason: 'cancelled'` when it was cancelled in whatever way,
   * rejecting with a `RivuletError` (its `text` is what was said) when it failed.
   * Asking for it while nobody reads lets the model run to its end; the chunks wait for a later reader.
   */
  get result(): Promise<GenerationResult> {
    // In a task of its own: whoever starts to read in this turn keeps the model at their pace.
    setTimeout(() => {
      if (!this.locked) void this.#generation.runToEnd()
    })
    return this.#generation.result
  }

  /**
   * Reads the stream to its end.
   * @returns the whole text
   * @throws what the stream errors with
   */
  async text(): Promise<string> {
    let text = ''
    for await (const chunk of this) text += chunk.text
    return text
  }

  /** Ends the generation; also while the stream is locked by a reader, who then sees its end. */
  override async cancel(): Promise<void> {
    this.#generation.cancel()
  }

  override [Symbol.asyncIterator](): AsyncGenerator<TokenChunk, undefined, undefined> {
    return this.values()
  }

  override async *values({ preventCancel = false } = {}): AsyncGenerator<TokenChunk, undefined, undefined> {
    const reader = this.getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        yield value
      }
    } finally {
      // A stream that has failed rejects this with the error that the loop already throws.
      if (!preventCancel) reader.cancel().catch(() => {})
      reader.releaseLock()
    }
  }
}
