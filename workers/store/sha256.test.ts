import { afterEach, expect, it, vi } from 'vitest'
import { createContent, sha256 } from './fault-server.test-support.js'
import { createMemoryStore } from './memory-store.js'
import { hashBlob, hashSegments } from './sha256.js'

const content = createContent(9 * 2 ** 20)

afterEach(() => vi.unstubAllGlobals())

it.each([
  ['with Web Crypto', undefined],
  ['on an insecure page, which has no Web Crypto', {}],
])('files have the same hash %s', async (_, crypto) => {
  if (crypto) vi.stubGlobal('crypto', crypto)
  expect(await hashBlob(new Blob([content as Uint8Array<ArrayBuffer>]))).toBe(sha256(content))
  const file = await createMemoryStore().create({
    folderUrl: '',
    modelUrl: '',
    path: 'weights.bin',
    isMissing: false,
    sizeBytes: content.length,
    segmentBytes: content.length,
    validator: undefined,
    objectId: undefined,
    sha256: undefined,
  })
  const writer = await file.openSegment(0)
  writer.write(content)
  expect(await hashSegments(file, [Promise.resolve()])).toBe(sha256(content))
})
