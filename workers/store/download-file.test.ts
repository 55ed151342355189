import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { downloadFile } from './download-file.js'
import type { DownloadJob, TransferProgress } from './download-job.js'
import {
  createContent,
  faults,
  sha256,
  startFaultServer,
  type FaultServer,
} from './fault-server.test-support.js'
import { createMemoryStore } from './memory-store.js'

// Two whole segments and a partial one; the memory store stands in for the browser's file system.
const segmentBytes = 2 ** 20
const content = createContent(2.5 * segmentBytes)
const changed = createContent(content.length, 2)
const name = 'weights.bin'
let server: FaultServer

beforeEach(async () => {
  server = await startFaultServer({ [name]: content, empty: new Uint8Array() })
})
afterEach(() => server.close())

async function download(job: Partial<DownloadJob> = {}, kept = createMemoryStore()) {
  const progress: TransferProgress[] = []
  const folderUrl = job.folderUrl ?? server.url
  const file = await downloadFile(
    {
      folderUrl,
      modelUrl: folderUrl,
      path: name,
      url: folderUrl + (job.path ?? name),
      isSmall: false,
      known: { sizeBytes: undefined, sha256: undefined },
      objectId: undefined,
      segmentBytes,
      headers: {},
      idleTimeoutMs: 1000,
      signal: new AbortController().signal,
      onProgress: (each) => progress.push(each),
      isServerUp: () => Promise.resolve(false),
      ...job,
    },
    { kept, unkept: createMemoryStore() },
  )
  const bytes = file && new Uint8Array(await (await file.read()).arrayBuffer())
  return {
    file,
    progress,
    hash: bytes && sha256(bytes),
    isKept: (await kept.open(job.path ?? name)) === file,
  }
}

const verified = { known: { sizeBytes: undefined, sha256: sha256(content) } }

describe('a download', () => {
  it('fetches segments, each byte once, and reports its progress', async () => {
    const { hash, progress } = await download()
    expect(hash).toBe(sha256(content))
    expect(server.sentBytes).toBe(content.length)
    expect(server.requests.map(({ range }) => range).toSorted()).toEqual([
      'bytes=0-1048575',
      'bytes=1048576-2097151',
      'bytes=2097152-2621439',
    ])
    const loaded = progress.map(({ loadedBytes }) => loadedBytes)
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b))
    expect(progress.at(-1)).toEqual({
      phase: 'download',
      loadedBytes: content.length,
      totalBytes: content.length,
    })
  })

  it('is hashed if a hash is known', async () => {
    const { file, progress } = await download(verified)
    expect(file?.verifiedSha256).toBe(sha256(content))
    expect(progress.at(-1)?.phase).toBe('verify')
  })

  it('is hashed if the server sends the hash', async () => {
    server.sendsHashes = true
    server.files.get(name)!.faults.push('bit flip')
    const { file, hash } = await download()
    expect(file?.verifiedSha256).toBe(sha256(content))
    expect(hash).toBe(sha256(content))
    expect(server.sentBytes).toBe(2 * content.length)
  })

  it('fetches the whole file from a server without ranges', async () => {
    server.hasRanges = false
    expect((await download(verified)).hash).toBe(sha256(content))
    expect(server.requests).toHaveLength(1)
  })

  it('uses If-Range on the page’s origin, and starts again when the file has changed', async () => {
    vi.stubGlobal('location', { origin: new URL(server.url).origin })
    const file = server.files.get(name)!
    file.faults[1] = 'ETag swap'
    file.next = changed
    expect((await download()).hash).toBe(sha256(changed))
    vi.unstubAllGlobals()
    const conditions = server.requests.map(({ ifRange }) => ifRange)
    expect(conditions).toContain(`"${sha256(content)}"`)
    expect(conditions).toContain(`"${sha256(changed)}"`)
  })

  it('works with a server that exposes no headers to other origins', async () => {
    server.hidesHeaders = true
    expect((await download(verified)).hash).toBe(sha256(content))
  })

  it('works with a server without ETags', async () => {
    server.hasEtags = false
    expect((await download(verified)).hash).toBe(sha256(content))
  })

  it('stores an empty file', async () => {
    const { file, isKept } = await download({ path: 'empty' })
    expect(file?.record.sizeBytes).toBe(0)
    expect(isKept).toBe(true)
  })

  it('is not stored if the length is unknown', async () => {
    server.hasRanges = false
    server.isChunked = true
    const { hash, isKept } = await download()
    expect(hash).toBe(sha256(content))
    expect(isKept).toBe(false)
  })

  it('is decoded if the server compresses without being asked', async () => {
    server.hasRanges = false
    server.isCompressing = true
    expect((await download(verified)).hash).toBe(sha256(content))
  })

  it('reports a missing file', async () => {
    expect((await download({ path: 'nothing' })).file).toBeUndefined()
    server.files.get(name)!.faults.push('HTML with 200')
    expect((await download()).file).toBeUndefined()
  })
})

describe('a download recovers from a fault', () => {
  // The first answer describes the file; the second is for a later segment.
  const requests = { first: 0, later: 1 }
  for (const [which, index] of Object.entries(requests)) {
    for (const fault of faults) {
      if (fault === 'HTML with 200' && index === 0) continue
      it(`${fault}, in the ${which} answer`, async () => {
        const file = server.files.get(name)!
        file.faults[index] = fault
        file.next = changed
        const expected = fault === 'ETag swap' ? changed : content
        const { hash, file: stored } = await download({
          known: { sizeBytes: undefined, sha256: fault === 'ETag swap' ? undefined : sha256(content) },
        })
        expect(hash).toBe(sha256(expected))
        expect(stored?.isComplete).toBe(true)
      })
    }
  }

  it('recovers when every connection breaks, and fetches few bytes twice', async () => {
    server.files.get(name)!.faults.push('truncation', 'truncation', 'truncation', 'truncation', 'truncation')
    expect((await download()).hash).toBe(sha256(content))
    expect(server.sentBytes).toBeLessThan(content.length * 1.1)
  })
})

describe('a failed download', () => {
  it('is refused if its hash is wrong twice, and is removed', async () => {
    const kept = createMemoryStore()
    const wrong = sha256(changed)
    await expect(download({ known: { sizeBytes: undefined, sha256: wrong } }, kept)).rejects.toMatchObject({
      code: 'integrity-failed',
      details: { file: name, expected: wrong, got: sha256(content) },
    })
    expect(await kept.open(name)).toBeUndefined()
    expect(server.sentBytes).toBe(2 * content.length)
  })

  it('fails when the server stays down, and keeps its data for the next attempt', async () => {
    const kept = { ...createMemoryStore(), isPersistent: true }
    const firstSegmentSent = new Promise<void>((resolve) => {
      server.bytesPerSecond = 4 * 2 ** 20
      const poll = setInterval(() => {
        if (server.sentBytes < segmentBytes) return
        clearInterval(poll)
        server.isDown = true
        for (const file of server.files.values()) file.faults.push(...Array(9).fill('dropped connection'))
        resolve()
      }, 5)
    })
    server.files.get(name)!.faults.push('truncation', 'truncation', 'truncation')
    const failing = download({}, kept)
    await firstSegmentSent
    await expect(failing).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringMatching(/Retry to resume; the data downloaded so far is kept\.$/),
    })
    server.isDown = false
    server.files.get(name)!.faults.length = 0
    const sentBytes = server.sentBytes
    expect((await download({}, kept)).hash).toBe(sha256(content))
    expect(server.sentBytes - sentBytes).toBeLessThan(content.length)
  }, 30_000)

  it('is not retried if the server refuses access', async () => {
    server.secret = 'Bearer secret'
    const refused = download({ headers: { authorization: 'Bearer wrong' } })
    await expect(refused).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.not.stringMatching('wrong'),
    })
    expect(server.requests).toHaveLength(1)
    expect((await download({ headers: { authorization: server.secret } })).hash).toBe(sha256(content))
  })

  it('fails if no server answers, and does not promise to keep data that is only in memory', async () => {
    await expect(download({ folderUrl: 'http://localhost:1/', path: 'x' })).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringMatching(/could not be fetched .*\. Retry\.$/),
    })
  }, 30_000)

  it('ends with the reason of its signal', async () => {
    const abort = new AbortController()
    server.bytesPerSecond = 2 ** 20
    const fetching = download({
      signal: abort.signal,
      onProgress: ({ loadedBytes }) => loadedBytes > 0 && abort.abort(new Error('left')),
    })
    await expect(fetching).rejects.toThrow('left')
  })
})
