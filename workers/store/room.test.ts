import { afterEach, expect, it, vi } from 'vitest'
import { checkRoom } from './room.js'

afterEach(() => vi.unstubAllGlobals())

function stubEstimate(estimate: StorageEstimate): void {
  vi.stubGlobal('navigator', { storage: { estimate: () => Promise.resolve(estimate) } })
}

it('a file is refused if the browser reports too little space', async () => {
  stubEstimate({ quota: 100, usage: 40 })
  await expect(checkRoom('weights.bin', 60)).resolves.toBeUndefined()
  await expect(checkRoom('weights.bin', 61)).rejects.toMatchObject({
    code: 'quota-exceeded',
    message: expect.stringMatching(
      'weights.bin needs 61 more bytes, but the browser allows this site only 60',
    ),
    details: { file: 'weights.bin', neededBytes: 61, availableBytes: 60 },
  })
})

it('without an estimate, the write is attempted', async () => {
  stubEstimate({})
  await expect(checkRoom('weights.bin', 2 ** 40)).resolves.toBeUndefined()
  // Safari before 17.
  vi.stubGlobal('navigator', { storage: {} })
  await expect(checkRoom('weights.bin', 2 ** 40)).resolves.toBeUndefined()
})
