import type { Engine, GenerationResult, Prompt, TokenChunk, TokenStream } from 'rivulet'

/** What is told of one stream, while somebody else reads it. */
export interface StreamObserver {
  addChunk(chunk: TokenChunk): void
  finish(ending: StreamEnding): void
}

type StreamEnding =
  | { readonly kind: 'finished'; readonly result: GenerationResult }
  | { readonly kind: 'failed'; readonly error: unknown }

/** The same engine; `observe` is called with each of its generations, before anything of it is read. */
export function observeEngine(engine: Engine, observe: (prompt: Prompt) => StreamObserver): Engine {
  return {
    get info() {
      return engine.info
    },
    get skipped() {
      return engine.skipped
    },
    generate(prompt, options) {
      const observer = observe(prompt)
      const stream = engine.generate(prompt, options)
      observeIteration(stream, observer)
      return stream
    },
    dispose: () => engine.dispose(),
    [Symbol.asyncDispose]: () => engine.dispose(),
  }
}

function observeIteration(stream: TokenStream, { addChunk, finish }: StreamObserver): void {
  stream[Symbol.asyncIterator] = async function* observed() {
    try {
      for await (const chunk of stream.values()) {
        addChunk(chunk)
        yield chunk
      }
      return undefined
    } finally {
      stream.result.then(
        (result) => finish({ kind: 'finished', result }),
        (error: unknown) => finish({ kind: 'failed', error }),
      )
    }
  }
}
