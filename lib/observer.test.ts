import { afterEach, describe, expect, it, vi } from 'vitest'
import { RivuletError } from './contract/errors.js'
import type { LoadedWorker } from './start-worker.js'
import {
  combineObservers,
  observeLoadErrors,
  type EngineObserver,
  type GenerationEnd,
  type ObservedChunk,
} from './observer.js'

const key = Symbol.for('rivulet.observer')
// A report is passed on as it is.
const chunk = { generation: 1 } as ObservedChunk
const end = { generation: 1 } as GenerationEnd

afterEach(() => Reflect.deleteProperty(globalThis, key))

describe('a load that fails', () => {
  const error = new RivuletError('download-failed', 'offline')

  it('is reported each time', async () => {
    const onLoadError = vi.fn()
    const worker = { info: { model: 'stories' } } as LoadedWorker
    const outcomes = [async () => worker, () => Promise.reject(error)]
    const load = observeLoadErrors(() => outcomes.shift()!(), combineObservers([{ onLoadError }]))
    expect(await load(new Set(), undefined)).toBe(worker)
    await expect(load(new Set(), undefined)).rejects.toBe(error)
    expect(onLoadError.mock.calls).toEqual([[error]])
  })

  it('is not reported if the page aborted it', async () => {
    const onLoadError = vi.fn()
    const load = observeLoadErrors(() => Promise.reject(error), combineObservers([{ onLoadError }]))
    await expect(load(undefined, AbortSignal.abort())).rejects.toBe(error)
    expect(onLoadError).not.toHaveBeenCalled()
  })
})

describe('observers', () => {
  it('are called in order, each only with the methods that it has', () => {
    const calls: string[] = []
    const first: EngineObserver = { onChunk: () => calls.push('first onChunk') }
    const second: EngineObserver = {
      onChunk: (report) => calls.push(`second onChunk ${report.generation}`),
      onEnd: () => calls.push('second onEnd'),
    }
    const observer = combineObservers([first, second])
    observer.onChunk(chunk)
    observer.onEnd(end)
    expect(calls).toEqual(['first onChunk', 'second onChunk 1', 'second onEnd'])
  })

  it('keep their `this`', () => {
    class Counter implements EngineObserver {
      chunks = 0
      onChunk() {
        this.chunks += 1
      }
    }
    const counter = new Counter()
    combineObservers([counter]).onChunk(chunk)
    expect(counter.chunks).toBe(1)
  })

  it('that throw disturb neither the engine nor each other', () => {
    const later = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => {})
    const onChunk = vi.fn()
    const failing: EngineObserver = {
      onChunk() {
        throw new Error('mine')
      },
    }
    combineObservers([failing, { onChunk }]).onChunk(chunk)
    expect(onChunk).toHaveBeenCalledWith(chunk)
    // The page sees it as an uncaught error.
    expect(later.mock.calls[0]![0]).toThrow('mine')
    later.mockRestore()
  })

  it('include the one that a test put on the global object', () => {
    const onChunk = vi.fn()
    const observer = combineObservers([])
    Object.assign(globalThis, { [key]: { onChunk } satisfies EngineObserver })
    observer.onChunk(chunk)
    expect(onChunk).toHaveBeenCalledWith(chunk)
  })

  it('make the worker report the prefill only if one of them reads it', () => {
    expect(combineObservers([{ onChunk() {} }]).readsPrefill).toBe(false)
    expect(combineObservers([{ onChunk() {} }, { onPrefill() {} }]).readsPrefill).toBe(true)
  })
})
