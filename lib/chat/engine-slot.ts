import type { ChatOptions, ChatStatus } from '../chat.js'
import { asRivuletError } from '../contract/errors.js'
import type { Engine } from '../engine.js'
import { checkEngine } from './check-chat.js'
import { createContextWindow, type ContextWindow } from './context-window.js'

/** An engine, and what fits into its context. */
export interface SeatedEngine {
  readonly engine: Engine
  readonly contextWindow: ContextWindow
}

/** Where a chat's engine is, or will be. */
export interface EngineSlot {
  /** What a chat that writes nothing is doing. */
  readonly status: ChatStatus
  /**
   * Gives it another engine; who waits for the one before waits for this one.
   * @throws RivuletError `invalid-option`
   */
  put(engine: ChatOptions['engine']): void
  /**
   * @returns the engine when there is one; undefined where the signal comes first
   * @throws why there is none
   */
  take(signal: AbortSignal): Promise<SeatedEngine | undefined>
}

interface Seat {
  readonly given: ChatOptions['engine']
  readonly engine: Promise<Engine>
  readonly contextWindow: ContextWindow
  readonly replaced: AbortController
}

/** @throws RivuletError `invalid-option` */
export function createEngineSlot(
  first: ChatOptions['engine'],
  onStatus: (status: ChatStatus) => void,
): EngineSlot {
  let seat: Seat = createSeat(first)
  let status: ChatStatus = { kind: 'loading' }
  watch(seat)

  function watch({ given, engine }: Seat): void {
    const settle = (settled: ChatStatus) => {
      if (engine !== seat.engine) return
      status = settled
      onStatus(settled)
    }
    if ('generate' in given) return settle({ kind: 'ready' })
    settle({ kind: 'loading' })
    engine.then(
      () => settle({ kind: 'ready' }),
      (error: unknown) =>
        settle({ kind: 'failed', error: asRivuletError(error, 'generation-failed', 'There is no engine') }),
    )
  }

  return {
    get status() {
      return status
    },
    put(given) {
      if (given === seat.given) return
      const { replaced } = seat
      seat = createSeat(given)
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

function createSeat(given: ChatOptions['engine']): Seat {
  checkEngine(given)
  return {
    given,
    engine: Promise.resolve(given),
    contextWindow: createContextWindow(),
    replaced: new AbortController(),
  }
}

/** @returns undefined where a signal comes first */
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
