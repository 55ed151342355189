import { RivuletError } from '../lib/contract/errors.js'

/** A page that asks faster than the model answers is told so, before its requests fill the memory. */
export const maxWaiting = 256

/** A place in the queue. */
export interface Turn {
  /** Resolves when it is this one's turn, or when its signal is aborted while it waits. */
  readonly ready: Promise<void>
  /** Gives the place to the next one. May be called again. */
  leave(): void
}

export interface Queue {
  /** @throws RivuletError `queue-full` where `maxWaiting` wait already */
  enter(signal: AbortSignal): Turn
  /** Resolves once nobody runs or waits. */
  whenIdle(): Promise<void>
}

/** Lets `capacity` turns run at a time, in the order in which they entered. */
export function createQueue(capacity: number): Queue {
  const waiting: (() => void)[] = []
  const idleListeners: (() => void)[] = []
  let running = 0

  function advance(): void {
    while (running < capacity && waiting.length > 0) {
      running += 1
      waiting.shift()?.()
    }
    if (running === 0) for (const resolve of idleListeners.splice(0)) resolve()
  }

  return {
    enter(signal) {
      if (waiting.length >= maxWaiting) {
        throw new RivuletError(
          'queue-full',
          `${waiting.length} generations wait on this engine already. Wait for some of them, or cancel them.`,
        )
      }
      let state: 'waiting' | 'running' | 'left' = 'waiting'
      const ready = new Promise<void>((resolve) => {
        const start = () => {
          state = 'running'
          resolve()
        }
        const giveUp = () => {
          if (state !== 'waiting') return
          state = 'left'
          waiting.splice(waiting.indexOf(start), 1)
          resolve()
        }
        waiting.push(start)
        // A signal that is aborted already fires no event.
        if (signal.aborted) giveUp()
        else signal.addEventListener('abort', giveUp)
      })
      advance()
      return {
        ready,
        leave() {
          if (state !== 'running') return
          state = 'left'
          running -= 1
          advance()
        },
      }
    },
    whenIdle: () =>
      new Promise((resolve) => {
        idleListeners.push(resolve)
        advance()
      }),
  }
}
