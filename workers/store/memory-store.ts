import { countSegments, type FileRecord } from '../../lib/contract/store-layout.js'
import type { FileStore, StoredFile } from './file-store.js'
import { openBlob } from './readable-file.js'

/**
 * Creates a store that keeps files only while the worker lives. It is used on pages without a private file system that
 * works, and for files of unknown length.
 */
export function createMemoryStore(): FileStore {
  const files = new Map<string, StoredFile>()
  return {
    isPersistent: false,
    open: (path) => Promise.resolve(files.get(path)),
    create(record) {
      const file = createMemoryFile(record)
      files.set(record.path, file)
      return Promise.resolve(file)
    },
    list: () => Promise.resolve([...files.keys()]),
    remove(path) {
      files.delete(path)
      return Promise.resolve()
    },
  }
}

function createMemoryFile(record: FileRecord): StoredFile {
  // The browser keeps blobs outside the worker's heap, on disk if necessary.
  const segments = Array.from({ length: countSegments(record) }, (): Blob[] => [])
  const measure = (index: number) => segments[index]!.reduce((sum, piece) => sum + piece.size, 0)
  let isComplete = false
  let verifiedSha256: string | undefined
  return {
    record,
    get isComplete() {
      return isComplete
    },
    get verifiedSha256() {
      return verifiedSha256
    },
    openSegment(index) {
      let sizeBytes = measure(index)
      return Promise.resolve({
        get sizeBytes() {
          return sizeBytes
        },
        write(bytes) {
          segments[index]!.push(new Blob([bytes as Uint8Array<ArrayBuffer>]))
          sizeBytes += bytes.byteLength
        },
        clear() {
          segments[index] = []
          sizeBytes = 0
        },
        close() {},
      })
    },
    measureSegment: (index) => Promise.resolve(measure(index)),
    async *readSegment(index) {
      for (const piece of segments[index]!) yield new Uint8Array(await piece.arrayBuffer())
    },
    read: () => Promise.resolve(new Blob(segments.flat())),
    openToRead: () => openBlob(new Blob(segments.flat())),
    markUsed: () => Promise.resolve(),
    readUsedMs: () => Promise.resolve(0),
    mayBeInHttpCache: () => Promise.resolve(false),
    noteHttpCacheMiss: () => Promise.resolve(),
    complete(sha256) {
      isComplete = true
      verifiedSha256 = sha256
      return Promise.resolve()
    },
  }
}
