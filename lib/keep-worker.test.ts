import { describe, expect, it, vi } from 'vitest'
import type { Connection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import { keepWorker } from './keep-worker.js'
import type { Candidate, LoadedWorker } from './start-worker.js'
import { allSupport } from './model-support.test-support.js'

const candidates: readonly Candidate[] = ['first', 'second'].map((name) => ({
  backend: {
    name,
    options: {},
    model: { kind: 'named' },
    checkAvailability: () => Promise.resolve({ isAvailable: true }),
    createWorker: () => {
      throw new Error('not to be made')
    },
  },
  model: { kind: 'none' },
}))

/** Stands in for a worker with a model. `terminate` ends it. */
function createWorker(name: string, candidate = candidates[0]!): LoadedWorker {
  const closing = new AbortController()
  const connection: Connection = {
    call: () => Promise.reject(new Error('nobody calls')),
    closed: closing.signal,
    terminate: (reason) => closing.abort(reason),
  }
  return {
    connection,
    info: {
      model: name,
      backend: 'scripted',
      device: 'wasm',
      deviceDescription: 'none',
      dtype: 'none',
      host: 'tab',
      execution: 'growing-cache',
      warnings: [],
      contextLength: 1,
      supports: allSupport,
    },
    candidate,
    skipped: [],
    silenceTimeoutMs: Infinity,
  }
}

const death = new RivuletError('worker-failed', 'gone')
const { signal } = new AbortController()
const onLoad = () => {}
const nextTask = () => new Promise((resolve) => setTimeout(resolve, 5))

describe('a kept worker', () => {
  it('is the same one as long as it lives', async () => {
    const first = createWorker('first')
    const start = () => Promise.reject(new Error('not to be started'))
    const kept = keepWorker(first, { start, onRecovery: undefined, onLoad, candidates }, signal)
    expect(await kept.take(0)).toBe(first)
  })

  it('is replaced once for all who wait, and given to them in their order', async () => {
    const first = createWorker('first')
    const second = createWorker('second')
    const seen = { starts: 0, reasons: [] as RivuletError[], loads: [] as string[], served: [] as number[] }
    const start = async () => {
      seen.starts += 1
      await nextTask()
      return second
    }
    const kept = keepWorker(
      first,
      {
        start,
        onRecovery: (reason) => seen.reasons.push(reason),
        onLoad: (info) => seen.loads.push(info.model),
        candidates,
      },
      signal,
    )
    first.connection.terminate(death)
    const take = async (order: number) => {
      expect(await kept.take(order)).toBe(second)
      seen.served.push(order)
    }
    await Promise.all([3, 1, 2, 0].map(take))
    expect(seen).toEqual({ starts: 1, reasons: [death], loads: ['second'], served: [0, 1, 2, 3] })
    expect(kept.current).toBe(second)
  })

  it('that could not be replaced fails the waiting callers, and the next call tries again', async () => {
    const first = createWorker('first')
    const second = createWorker('second')
    const outcomes = [
      () => Promise.reject(new RivuletError('download-failed', 'offline')),
      async () => second,
    ]
    const start = () => outcomes.shift()!()
    const kept = keepWorker(first, { start, onRecovery: undefined, onLoad, candidates }, signal)
    first.connection.terminate(death)
    await expect(kept.take(0)).rejects.toMatchObject({ code: 'download-failed' })
    expect(await kept.take(1)).toBe(second)
  })

  it('switches to another backend, as long as there is one', async () => {
    const first = createWorker('first')
    const second = createWorker('second', candidates[1])
    const lostBefore: (readonly Candidate[])[] = []
    const start = async (lost: ReadonlySet<Candidate>) => {
      lostBefore.push([...lost])
      return second
    }
    const kept = keepWorker(first, { start, onRecovery: undefined, onLoad, candidates }, signal)
    expect(kept.switchBackend(first.connection, death)).toBe(true)
    expect(first.connection.closed.reason).toBe(death)
    expect(await kept.take(0)).toBe(second)
    expect(lostBefore).toEqual([[candidates[0]]])
    // The first worker is replaced already; after the second backend there is no other.
    expect(kept.switchBackend(first.connection, death)).toBe(true)
    expect(kept.switchBackend(second.connection, death)).toBe(false)
    expect(second.connection.closed.aborted).toBe(false)
  })

  it('switches also for a second generation that ran on the lost backend', async () => {
    const first = createWorker('first')
    const second = createWorker('second', candidates[1])
    const start = () => nextTask().then(() => second)
    const kept = keepWorker(first, { start, onRecovery: undefined, onLoad, candidates }, signal)
    expect(kept.switchBackend(first.connection, death)).toBe(true)
    expect(kept.switchBackend(first.connection, death)).toBe(true)
    expect(await Promise.all([kept.take(0), kept.take(1)])).toEqual([second, second])
  })

  it('is replaced also if the page’s callback throws', async () => {
    const later = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => {})
    const first = createWorker('first')
    const second = createWorker('second')
    const onRecovery = () => {
      throw new Error('mine')
    }
    const kept = keepWorker(first, { start: async () => second, onRecovery, onLoad, candidates }, signal)
    first.connection.terminate(death)
    expect(await kept.take(0)).toBe(second)
    expect(later.mock.calls[0]![0]).toThrow('mine')
    later.mockRestore()
  })

  it('stays dead without recovery', async () => {
    const first = createWorker('first')
    const kept = keepWorker(first, undefined, signal)
    first.connection.terminate(death)
    expect((await kept.take(0)).connection.closed.reason).toBe(death)
  })

  it('is not replaced for an engine that was disposed meanwhile', async () => {
    const first = createWorker('first')
    const late = createWorker('late')
    const disposing = new AbortController()
    const start = () => nextTask().then(() => late)
    const kept = keepWorker(first, { start, onRecovery: undefined, onLoad, candidates }, disposing.signal)
    first.connection.terminate(death)
    const waiting = kept.take(0)
    disposing.abort(new RivuletError('engine-disposed', 'over'))
    await waiting.catch(() => {})
    expect(late.connection.closed.aborted).toBe(true)
  })
})
