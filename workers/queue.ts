import { RivuletError } from '../lib/contract/errors.js'

/** The most generations that may wait. Further generations are refused, so that a page cannot fill the memory. */
export const maxWaiting = 256

/** A place in the queue. */
export interface Turn {
  /** Resolves when the turn starts, or when its signal is aborted while the turn waits. */
  readonly ready: Promise<void>
  /** Ends a running turn, so that the next turn can start. Later calls do nothing. */
  leave(): void
}

export interface Queue {
  /** Adds a turn at the end of the queue. @throws RivuletError `queue-full` when `maxWaiting` turns already wait */
  enter(signal: AbortSignal): Turn
  /** Resolves when no turn runs or waits. */
  whenIdle(): Promise<void>
}

/** Creates a queue that runs up to `capacity` generations at a time, in the order in which they entered. */
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
          `The queue is full (${waiting.length} requests). Wait for some of them to finish, or cancel them.`,
        )
      }
      let state: 'waiting' | 'running' | 'left' = 'waiting'
      const ready = new Promise<void>((resolve) => {
        const start = () => {
          state = 'running'
          resolve()
        }
        const withdraw = () => {
          if (state !== 'waiting') return
          state = 'left'
          waiting.splice(waiting.indexOf(start), 1)
          resolve()
        }
        waiting.push(start)
        // An already aborted signal fires no event.
        if (signal.aborted) withdraw()
        else signal.addEventListener('abort', withdraw)
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
