import type { ChatOptions, ChatStatus } from '../chat.js'
import { asRivuletError } from '../contract/errors.js'
import type { Engine } from '../engine.js'
import { checkEngine } from './check-chat.js'
import { createContextWindow, type ContextWindow } from './context-window.js'

/** A loaded engine, and the estimate of what fits into its context. */
export interface SeatedEngine {
  readonly engine: Engine
  readonly contextWindow: ContextWindow
}

/** Holds a chat's engine, or the promise of the engine. */
export interface EngineSlot {
  /** The status of the chat while no answer is running. */
  readonly status: ChatStatus
  /**
   * Replaces the engine. An answer that waits for the previous engine then waits for the new engine.
   * @throws RivuletError `invalid-option`
   */
  put(engine: ChatOptions['engine']): void
  /**
   * Waits until the engine is loaded.
   * @returns the engine; undefined if the signal is aborted before the engine is loaded
   * @throws the error with which the engine failed to load
   */
  take(signal: AbortSignal): Promise<SeatedEngine | undefined>
}

interface Seat {
  readonly source: ChatOptions['engine']
  readonly engine: Promise<Engine>
  readonly contextWindow: ContextWindow
  readonly replaced: AbortController
}

/**
 * Creates a slot that holds `first`, and calls `onStatus` with each new status.
 * @throws RivuletError `invalid-option`
 */
export function createEngineSlot(
  first: ChatOptions['engine'],
  onStatus: (status: ChatStatus) => void,
): EngineSlot {
  let seat: Seat = createSeat(first)
  let status: ChatStatus = { kind: 'loading' }
  watch(seat)

  function watch({ source, engine }: Seat): void {
    const settle = (settled: ChatStatus) => {
      if (engine !== seat.engine) return
      status = settled
      onStatus(settled)
    }
    if ('generate' in source) return settle({ kind: 'ready' })
    settle({ kind: 'loading' })
    engine.then(
      () => settle({ kind: 'ready' }),
      (error: unknown) =>
        settle({
          kind: 'failed',
          error: asRivuletError(error, 'generation-failed', 'The engine could not be loaded'),
        }),
    )
  }

  return {
    get status() {
      return status
    },
    put(source) {
      if (source === seat.source) return
      const { replaced } = seat
      seat = createSeat(source)
      replaced.abort()
      watch(seat)
    },
    async take(signal) {
      for (;;) {
        const { engine, contextWindow, replaced } = seat
        const ready = await untilAborted(engine, [signal, replaced.signal])
        if (signal.aborted) return undefined
        if (ready && !replaced.signal.aborted) return { engine: ready, contextWindow }
      }
    },
  }
}

function createSeat(source: ChatOptions['engine']): Seat {
  checkEngine(source)
  return {
    source,
    engine: Promise.resolve(source),
    contextWindow: createContextWindow(),
    replaced: new AbortController(),
  }
}

/** Resolves with the promise's value, or with undefined if a signal is aborted first. */
function untilAborted<T>(promise: Promise<T>, signals: readonly AbortSignal[]): Promise<T | undefined> {
  const settled = new AbortController()
  const aborted = new Promise<undefined>((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve(undefined)
      signal.addEventListener('abort', () => resolve(undefined), { signal: settled.signal })
    }
  })
  return Promise.race([aborted, promise]).finally(() => settled.abort())
}
