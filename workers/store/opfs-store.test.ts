import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FileRecord } from '../../lib/contract/store-layout.js'
import { downloadFile } from './download-file.js'
import type { FileStore } from './file-store.js'
import { createContent, sha256, startFaultServer } from './fault-server.test-support.js'
import { createMemoryStore } from './memory-store.js'
import { createFakeFileSystem, type FakeFileSystem } from './opfs.test-support.js'
import { createOpfsStore } from './opfs-store.js'
import { readWhole } from './readable-file.js'

const content = createContent(300_000)
const half = content.length / 2
const record: FileRecord = {
  folderUrl: 'https://models.example/',
  modelUrl: 'https://models.example/',
  path: 'onnx/weights.bin',
  isMissing: false,
  sizeBytes: content.length,
  segmentBytes: 2 ** 20,
  validator: `"${sha256(content)}"`,
  objectId: undefined,
  sha256: undefined,
}

let system: FakeFileSystem
let store: FileStore

beforeEach(() => {
  vi.stubGlobal('navigator', { storage: {} })
  system = createFakeFileSystem()
  store = createOpfsStore(system.root)
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

const later = (run: () => void) => setTimeout(run, 200)

/** Stands in for a worker that was terminated during the download of the file, and whose files are still open. */
async function leaveOpen() {
  const writer = await (await store.create(record)).openSegment(0)
  writer.write(content.subarray(0, half))
  return writer
}

describe.each(['NoModificationAllowedError', 'InvalidStateError'] as const)(
  'a file that an ended worker still has open (%s)',
  (busyError) => {
    beforeEach(() => {
      system.busyError = busyError
    })

    it('is waited for, and its download continues where it ended', async () => {
      const server = await startFaultServer({ [record.path]: content })
      const writer = await leaveOpen()
      later(writer.close)
      const kept = createOpfsStore(system.root)
      const file = await downloadFile(
        {
          folderUrl: server.url,
          modelUrl: server.url,
          path: record.path,
          url: server.url + record.path,
          isSmall: false,
          known: { sizeBytes: undefined, sha256: undefined },
          objectId: undefined,
          segmentBytes: record.segmentBytes,
          headers: {},
          idleTimeoutMs: 1000,
          signal: new AbortController().signal,
          onProgress() {},
          isServerUp: () => Promise.resolve(false),
        },
        { kept, unkept: createMemoryStore() },
      )
      await server.close()
      expect(sha256(new Uint8Array(await (await file!.read()).arrayBuffer()))).toBe(sha256(content))
      expect(server.requests.map(({ range }) => range)).toEqual([`bytes=${half}-${content.length - 1}`])
      expect(system.openHandles).toBe(0)
    })

    it('is waited for before it is replaced or removed', async () => {
      later((await leaveOpen()).close)
      await store.create(record)
      expect(system.listFiles()).toEqual(['onnx%2Fweights.bin/record.json'])
      later((await leaveOpen()).close)
      await store.remove(record.path)
      expect(system.listFiles()).toEqual([])
    })

    it('is named by an error after a minute', async () => {
      await leaveOpen()
      vi.useFakeTimers()
      const opening = (await store.open(record.path))!.openSegment(0)
      opening.catch(() => {})
      await vi.advanceTimersByTimeAsync(61_000)
      await expect(opening).rejects.toMatchObject({
        code: 'download-failed',
        message: expect.stringContaining('onnx/weights.bin is still open'),
      })
    })

    it('counts as used without waiting', async () => {
      const file = await store.create(record)
      await file.markUsed()
      const used = await (await system.root.getDirectoryHandle('onnx%2Fweights.bin')).getFileHandle('used')
      await used.createSyncAccessHandle()
      await file.markUsed()
    })
  },
)

describe('a file system that fails', () => {
  it('fails the mark of the last use too', async () => {
    const file = await store.create(record)
    system.fault = 'failing write'
    await expect(file.markUsed()).rejects.toThrow('The disk failed.')
    expect(system.openHandles).toBe(0)
  })

  it('does not fail the mark of the last use if only the disk is full', async () => {
    const file = await store.create(record)
    system.fault = 'full'
    await file.markUsed()
    expect(system.openHandles).toBe(0)
  })

  it('leaves no file open', async () => {
    const writer = await leaveOpen()
    system.fault = 'failing flush'
    expect(writer.close).toThrow('The disk failed.')
    expect(system.openHandles).toBe(0)
  })
})

describe('a file that is open for reading', () => {
  const segmentBytes = 100_000

  async function writeFile() {
    const file = await store.create({ ...record, segmentBytes })
    for (let index = 0; index < content.length / segmentBytes; index++) {
      const writer = await file.openSegment(index)
      writer.write(content.subarray(index * segmentBytes, (index + 1) * segmentBytes))
      writer.close()
    }
    return file
  }

  it.each([false, true])('is read at any position (another tab has a segment open: %s)', async (isOpen) => {
    const file = await writeFile()
    const other = isOpen ? await file.openSegment(1) : undefined
    const open = await file.openToRead()
    expect(sha256(readWhole(open))).toBe(sha256(content))
    // Within a segment, across one end, across two, and up to the end of the file.
    for (const [at, end] of [
      [10, 20],
      [99_990, 100_010],
      [50_000, 250_001],
      [299_999, 300_000],
      [300_000, 300_000],
    ] as const) {
      const target = new Uint8Array(end - at)
      open.readInto(target, at)
      expect(sha256(target)).toBe(sha256(content.subarray(at, end)))
    }
    expect(() => open.readInto(new Uint8Array(2), 299_999)).toThrow(
      expect.objectContaining({ name: 'NotReadableError' }),
    )
    expect(system.openHandles).toBe(3)
    open.close()
    expect(system.openHandles).toBe(isOpen ? 1 : 0)
    other?.close()
  })

  it('is not replaced or removed until it is closed', async () => {
    const open = await (await writeFile()).openToRead()
    let isRemoved = false
    const removing = store.remove(record.path).then(() => (isRemoved = true))
    await new Promise((resolve) => later(() => resolve(undefined)))
    expect(isRemoved).toBe(false)
    expect(sha256(readWhole(open))).toBe(sha256(content))
    open.close()
    await removing
  })

  it('is refused if it is not as its record says, and no segment stays open', async () => {
    const file = await writeFile()
    const writer = await file.openSegment(2)
    writer.clear()
    writer.close()
    await expect(file.openToRead()).rejects.toMatchObject({ name: 'NotReadableError' })
    expect(system.openHandles).toBe(0)
    await (await system.root.getDirectoryHandle('onnx%2Fweights.bin')).removeEntry('1')
    await expect(file.openToRead()).rejects.toMatchObject({ name: 'NotFoundError' })
    expect(system.openHandles).toBe(0)
  })

  it('is hashed while another tab reads it', async () => {
    const file = await writeFile()
    const open = await file.openToRead()
    const pieces: Uint8Array[] = []
    for (const index of [0, 1, 2]) {
      for await (const piece of file.readSegment(index)) pieces.push(piece.slice())
    }
    expect(sha256(Buffer.concat(pieces))).toBe(sha256(content))
    open.close()
  })
})
