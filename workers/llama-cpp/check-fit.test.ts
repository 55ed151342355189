import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkFit } from './check-fit.js'

const gibibyte = 2 ** 30

// A browser that does not report the device's memory.
beforeEach(() => vi.stubGlobal('navigator', {}))
afterEach(() => vi.unstubAllGlobals())

/** Stands in for the parts of a split model of 5 GiB. */
const parts = [{ size: 3 * gibibyte }, { size: 2 * gibibyte }]
const header = { cacheSize: { bytesPerToken: 2 ** 17, windowBytesPerToken: 0, windowTokens: 0 } }
const limits = { contextLength: 4096, usesGpu: true, budgetBytes: undefined }
const cacheBytes = 2 ** 29

describe('weights above 4 GiB', () => {
  it('are accepted on a GPU', () => {
    expect(() => checkFit(parts, header, limits)).not.toThrow()
  })

  it('are refused on a CPU, with both sizes', () => {
    expect(() => checkFit(parts, header, { ...limits, usesGpu: false })).toThrow(
      expect.objectContaining({
        code: 'memory-exceeded',
        details: expect.objectContaining({
          neededBytes: 5 * gibibyte + cacheBytes,
          availableBytes: 4 * gibibyte,
        }),
        message: expect.stringContaining('the memory of WebAssembly'),
      }),
    )
  })
})

describe('the budget', () => {
  it.each([true, false])('counts the weights and the KV cache; on a GPU: %s', (usesGpu) => {
    const files = [{ size: gibibyte }]
    const check = (budgetBytes: number) => () => checkFit(files, header, { ...limits, usesGpu, budgetBytes })
    expect(check(gibibyte + cacheBytes)).not.toThrow()
    expect(check(gibibyte + cacheBytes - 1)).toThrow('the option "memoryBudgetBytes"')
  })
})
