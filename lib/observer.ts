import { serializeError, type SerializedError } from './contract/error-transfer.js'
import { RivuletError } from './contract/errors.js'
import type { ModelInfo, TokenChunk } from './contract/worker-api.js'
import type { Generation, GenerationResult } from './generation.js'

/** What an observer is told of an engine; plain data throughout. */
export type EngineObservation =
  | { readonly kind: 'engine-loaded'; readonly info: ModelInfo }
  /** Not told where the page itself gave up loading. */
  | { readonly kind: 'engine-failed'; readonly error: SerializedError }

/** What an observer is told of the generation with this number, which the page drew. */
export type GenerationObservation = { readonly generation: number } & (
  | { readonly kind: 'generation-started' }
  /** The page's reader has it; a chunk that nobody reads is not told of. */
  | {
      readonly kind: 'chunk'
      readonly text: string
      readonly tokenCount: number
      /** Since the call of `generate`. */
      readonly arrivedMs: number
    }
  | { readonly kind: 'generation-ended'; readonly result: GenerationResult }
  | { readonly kind: 'generation-failed'; readonly error: SerializedError }
)

/**
 * A function that a test has put on the page's global object, under `Symbol.for('rivulet.observer')`, before the page's own
 * scripts ran (`rivulet/playwright` does). Without one nothing is told to anybody; no prompt ever is.
 */
export type Observer = (observation: EngineObservation | GenerationObservation) => void

const observerKey = Symbol.for('rivulet.observer')

function findObserver(): Observer | undefined {
  // Whoever put it there did so from outside of this library's types.
  return (globalThis as { readonly [observerKey]?: Observer })[observerKey]
}

/** Tells the observer of a load that has ended well. */
export function observeLoad(info: ModelInfo): void {
  findObserver()?.({ kind: 'engine-loaded', info })
}

/** Tells the observer what a load failed with, but not the reason for which a page gave it up. */
export function observeFailedLoad(error: unknown): void {
  if (error instanceof RivuletError) findObserver()?.({ kind: 'engine-failed', error: serializeError(error) })
}

/** Begins a generation, and tells the observer what its stream hands to the reader. */
export function observeGeneration(
  controller: ReadableStreamDefaultController<TokenChunk>,
  begin: (controller: ReadableStreamDefaultController<TokenChunk>) => Generation,
): Generation {
  const observer = findObserver()
  if (!observer) return begin(controller)
  const generation = crypto.getRandomValues(new Uint32Array(1))[0]!
  const startTime = performance.now()
  observer({ kind: 'generation-started', generation })
  const begun = begin({
    get desiredSize() {
      return controller.desiredSize
    },
    close: () => controller.close(),
    error: (reason) => controller.error(reason),
    enqueue(chunk: TokenChunk) {
      controller.enqueue(chunk)
      const { text, tokenCount } = chunk
      observer({ kind: 'chunk', generation, text, tokenCount, arrivedMs: performance.now() - startTime })
    },
  })
  begun.result.then(
    (result) => observer({ kind: 'generation-ended', generation, result }),
    (error: unknown) => observer({ kind: 'generation-failed', generation, error: serializeError(error) }),
  )
  return begun
}
