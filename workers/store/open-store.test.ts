import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FileRecord } from '../../lib/contract/store-layout.js'
import { createFakeFileSystem, type FakeFileSystem } from './opfs.test-support.js'
import { openStore } from './open-store.js'

const folderUrl = 'https://models.example/a/'
let system: FakeFileSystem
let heldLocks: string[]

/** Stands in for Web Locks that are always free: Node 20 has none. */
const locks = {
  async request(name: string, ...rest: readonly unknown[]) {
    heldLocks.push(name)
    try {
      return await (rest.at(-1) as (lock: object) => unknown)({ name })
    } finally {
      heldLocks.splice(heldLocks.indexOf(name), 1)
    }
  },
}

beforeEach(() => {
  system = createFakeFileSystem()
  heldLocks = []
  vi.stubGlobal('navigator', { locks, storage: { getDirectory: () => Promise.resolve(system.root) } })
})
afterEach(() => vi.unstubAllGlobals())

describe('the store of a folder', () => {
  it('is the private file system if its files work, and leaves nothing of the trial', async () => {
    const { store, close } = await openStore(folderUrl)
    expect(store.isPersistent).toBe(true)
    expect(system.openHandles).toBe(0)
    expect(system.listFiles()).toEqual([])
    expect(await store.list()).toEqual([])
    expect(heldLocks).toEqual([expect.stringMatching(/^rivulet model /)])
    close()
    await expect.poll(() => heldLocks).toEqual([])
  })

  it.each(['missing', 'refused', 'promises', 'failing write', 'failing flush'] as const)(
    'is in memory if the sync access handles fail (%s), and nothing stays open',
    async (fault) => {
      system.fault = fault
      const { store } = await openStore(folderUrl)
      expect(store.isPersistent).toBe(false)
      expect(system.openHandles).toBe(0)
      await expect.poll(() => heldLocks).toEqual([])
      expect(system.listFiles()).toEqual([])
    },
  )

  it('writes no trial if an earlier load has stored files', async () => {
    const record = { path: 'config.json', sizeBytes: 1, segmentBytes: 1 } as FileRecord
    await (await openStore(folderUrl)).store.create(record)
    system.fault = 'refused'
    const { store } = await openStore(folderUrl)
    expect(store.isPersistent).toBe(true)
    expect((await store.open('config.json'))?.record).toMatchObject(record)
  })

  it('is the private file system if only the disk is full: what is stored can be read', async () => {
    system.fault = 'full'
    expect((await openStore(folderUrl)).store.isPersistent).toBe(true)
  })

  it.each([
    ['a private file system', { locks, storage: {} }],
    [
      'access to the private file system',
      { locks, storage: { getDirectory: () => Promise.reject(new DOMException('', 'SecurityError')) } },
    ],
    ['storage and locks, as on an insecure page', {}],
  ])('is in memory without %s', async (_, navigator) => {
    vi.stubGlobal('navigator', navigator)
    expect((await openStore(folderUrl)).store.isPersistent).toBe(false)
  })
})
