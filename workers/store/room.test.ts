import { afterEach, expect, it, vi } from 'vitest'
import { checkRoom } from './room.js'

afterEach(() => vi.unstubAllGlobals())

function stubEstimate(estimate: StorageEstimate): void {
  vi.stubGlobal('navigator', { storage: { estimate: () => Promise.resolve(estimate) } })
}

it('a file is refused where the browser says that there is no room for it', async () => {
  stubEstimate({ quota: 100, usage: 40 })
  await expect(checkRoom('weights.bin', 60)).resolves.toBeUndefined()
  await expect(checkRoom('weights.bin', 61)).rejects.toMatchObject({
    code: 'quota-exceeded',
    message: expect.stringMatching('weights.bin needs 61 bytes more, and the browser gives this site 60'),
    details: { file: 'weights.bin', neededBytes: 61, availableBytes: 60 },
  })
})

it('a browser that says nothing is asked to write', async () => {
  stubEstimate({})
  await expect(checkRoom('weights.bin', 2 ** 40)).resolves.toBeUndefined()
})
