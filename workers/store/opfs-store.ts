import {
  completeName,
  countSegments,
  getDirectory,
  getFile,
  httpCacheMissName,
  nameFileDirectory,
  readRecord,
  recordName,
  removeEntry,
  usedName,
  type FileRecord,
} from '../../lib/contract/store-layout.js'
import { isBusy, whenFree } from '../../lib/contract/when-free.js'
import type { FileStore, SegmentWriter, StoredFile } from './file-store.js'
import { joinParts, openBlob, openSyncHandle, type ReadableFile } from './readable-file.js'
import { NoRoomError, checkRoom } from './room.js'

/** The size of the buffer through which a segment is read, piece by piece. */
const pieceBytes = 2 ** 20

/** Creates a store for a model's files in the origin private file system (layout: `store-layout.ts`). */
export function createOpfsStore(model: FileSystemDirectoryHandle): FileStore {
  const remove = (path: string) => whenFree(path, () => removeEntry(model, nameFileDirectory(path)))
  return {
    isPersistent: true,
    async open(path) {
      const directory = await getDirectory(model, nameFileDirectory(path))
      if (!directory) return undefined
      const [record, complete] = await Promise.all([readRecord(directory), readComplete(directory)])
      if (!record) return undefined
      const file = createOpfsFile(directory, record, complete)
      return complete && !(await isWhole(file)) ? undefined : file
    },
    async create(record) {
      await remove(record.path)
      await checkRoom(record.path, record.sizeBytes ?? 0)
      const directory = await model.getDirectoryHandle(nameFileDirectory(record.path), { create: true })
      await writeFile(directory, recordName, JSON.stringify(record))
      return createOpfsFile(directory, record, undefined)
    },
    remove,
    async list() {
      const names: string[] = []
      for await (const [name, { kind }] of model)
        if (kind === 'directory') names.push(decodeURIComponent(name))
      return names
    },
  }
}

/** @returns undefined if the file is not complete */
async function readComplete(
  directory: FileSystemDirectoryHandle,
): Promise<{ readonly sha256: string | undefined } | undefined> {
  const file = await getFile(directory, completeName)
  return file && { sha256: (await file.text()) || undefined }
}

function createOpfsFile(
  directory: FileSystemDirectoryHandle,
  record: FileRecord,
  found: { readonly sha256: string | undefined } | undefined,
): StoredFile {
  let completed = found
  const getSegment = async (index: number): Promise<File> =>
    (await getFile(directory, String(index))) ?? new File([], String(index))
  return {
    record,
    get isComplete() {
      return completed !== undefined
    },
    get verifiedSha256() {
      return completed?.sha256
    },
    async openSegment(index) {
      const handle = await openHandle(directory, String(index))
      try {
        return createSegmentWriter(handle)
      } catch (error) {
        handle.close()
        throw error
      }
    },
    measureSegment: async (index) => (await getSegment(index)).size,
    async *readSegment(index) {
      const segment = await openSegmentToRead(directory, index)
      const buffer = new Uint8Array(pieceBytes)
      try {
        for (let at = 0; at < segment.byteLength; at += pieceBytes) {
          const piece = buffer.subarray(0, segment.byteLength - at)
          segment.readInto(piece, at)
          yield piece
        }
      } finally {
        segment.close()
      }
    },
    async read() {
      const segments = Array.from({ length: countSegments(record) }, (_, index) => getSegment(index))
      return new Blob(await Promise.all(segments))
    },
    async openToRead() {
      const opening = Array.from({ length: countSegments(record) }, (_, index) =>
        openSegmentToRead(directory, index),
      )
      const results = await Promise.allSettled(opening)
      const file = joinParts(results.flatMap((result) => (result.status === 'fulfilled' ? result.value : [])))
      const failed = results.find((result) => result.status === 'rejected')
      if (!failed && file.byteLength === (record.sizeBytes ?? file.byteLength)) return file
      file.close()
      throw failed?.reason ?? new DOMException('The stored file has changed.', 'NotReadableError')
    },
    markUsed: () => touch(directory),
    readUsedMs: async () => (await getFile(directory, usedName))?.lastModified ?? 0,
    mayBeInHttpCache: async () => (await getFile(directory, httpCacheMissName)) === undefined,
    noteHttpCacheMiss: () => writeFile(directory, httpCacheMissName, ''),
    async complete(sha256) {
      await writeFile(directory, completeName, sha256 ?? '')
      completed = { sha256 }
    },
  }
}

/**
 * Opens a segment to read it. A handle reads without a copy, several times as fast as a blob; but it can be open only once in
 * browsers without the mode `read-only`. If it cannot be opened, the blob is read.
 *
 * Nobody can write the file, or remove its directory, while a handle is open. A blob shows the file as it is now: reading it
 * later fails if the file has changed since.
 */
async function openSegmentToRead(directory: FileSystemDirectoryHandle, index: number): Promise<ReadableFile> {
  const file = await directory.getFileHandle(String(index))
  const handle = await openHandleToRead(file).catch(() => undefined)
  if (!handle) return openBlob(await file.getFile())
  try {
    return openSyncHandle(handle)
  } catch (error) {
    handle.close()
    throw error
  }
}

/** The mode lets other tabs read the file at the same time. Browsers that do not know it ignore it. */
function openHandleToRead(file: FileSystemFileHandle): Promise<FileSystemSyncAccessHandle> {
  const open = file.createSyncAccessHandle as (options: {
    readonly mode: 'read-only'
  }) => Promise<FileSystemSyncAccessHandle>
  return open.call(file, { mode: 'read-only' })
}

/** Returns false if stored bytes are missing: a browser that runs out of space may remove single files. */
async function isWhole({ record, read }: StoredFile): Promise<boolean> {
  return record.sizeBytes === undefined || (await read()).size === record.sizeBytes
}

function createSegmentWriter(handle: FileSystemSyncAccessHandle): SegmentWriter {
  let sizeBytes = handle.getSize()
  return {
    get sizeBytes() {
      return sizeBytes
    },
    write(bytes) {
      const written = writeBytes(handle, bytes, sizeBytes)
      sizeBytes += written
      if (written < bytes.byteLength) throw new NoRoomError()
    },
    clear() {
      handle.truncate(0)
      sizeBytes = 0
    },
    close() {
      try {
        handle.flush()
      } catch (error) {
        throw isFull(error) ? new NoRoomError() : error
      } finally {
        // A handle that stays open would keep the file busy.
        handle.close()
      }
    },
  }
}

async function writeFile(directory: FileSystemDirectoryHandle, name: string, text: string): Promise<void> {
  const handle = await openHandle(directory, name)
  try {
    const bytes = new TextEncoder().encode(text)
    handle.truncate(0)
    if (writeBytes(handle, bytes, 0) < bytes.byteLength) throw new NoRoomError()
  } finally {
    handle.close()
  }
}

/**
 * Checks that files of a directory can be written and read through sync access handles. Some browsers have none, or have ones
 * that fail: private windows, and Safari before 16.4, whose handles answer with promises.
 * @throws the browser's error, or an error that says what is wrong
 */
export async function tryHandle(directory: FileSystemDirectoryHandle): Promise<void> {
  const byte = Uint8Array.of(7)
  // No other thread has this file open: a handle that is refused as busy is one that fails.
  const handle = await (await directory.getFileHandle('trial', { create: true })).createSyncAccessHandle()
  try {
    const written = writeBytes(handle, byte, 0)
    handle.flush()
    const read = new Uint8Array(1)
    const isSame = handle.getSize() === 1 && handle.read(read, { at: 0 }) === 1 && read[0] === byte[0]
    if (written === 1 ? !isSame : written !== 0) throw new Error('A file does not contain what was written.')
  } finally {
    handle.close()
  }
}

/** Updates the modification time of the `used` file, which shows when the file was last read. */
async function touch(directory: FileSystemDirectoryHandle): Promise<void> {
  try {
    const handle = await (await directory.getFileHandle(usedName, { create: true })).createSyncAccessHandle()
    try {
      handle.write(Uint8Array.of(0), { at: 0 })
    } finally {
      handle.close()
    }
  } catch (error) {
    // Another tab is writing the file at the same time, or the disk is full.
    if (!isBusy(error) && !isFull(error)) throw error
  }
}

/** Writes bytes. @returns how many bytes were written, which is fewer than requested if the disk or quota is full */
function writeBytes(handle: FileSystemSyncAccessHandle, bytes: Uint8Array, at: number): number {
  try {
    return handle.write(bytes as Uint8Array<ArrayBuffer>, { at })
  } catch (error) {
    if (isFull(error)) return 0
    throw error
  }
}

/** Returns true for the error of a full disk or quota. */
export function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'QuotaExceededError'
}

/** Opens a file for reading and writing. Waits while another worker has the file open. */
async function openHandle(
  directory: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemSyncAccessHandle> {
  const file = await directory.getFileHandle(name, { create: true })
  return whenFree(decodeURIComponent(directory.name), () => file.createSyncAccessHandle())
}
