import {
  completeName,
  countSegments,
  getDirectory,
  getFile,
  nameFileDirectory,
  readRecord,
  recordName,
  removeEntry,
  usedName,
  type FileRecord,
} from '../../lib/contract/store-layout.js'
import type { FileStore, SegmentWriter, StoredFile } from './file-store.js'
import { NoRoomError, checkRoom } from './room.js'

/** The size of the buffer through which a segment is read, piece by piece. */
const pieceBytes = 2 ** 20

/** Creates a store for a model's files in the origin private file system (layout: `store-layout.ts`). */
export function createOpfsStore(model: FileSystemDirectoryHandle): FileStore {
  return {
    async open(path) {
      const directory = await getDirectory(model, nameFileDirectory(path))
      const record = directory && (await readRecord(directory))
      if (!record) return undefined
      const verified = await getFile(directory, completeName)
      const file = createOpfsFile(
        directory,
        record,
        verified && { sha256: (await verified.text()) || undefined },
      )
      return verified && !(await isWhole(file)) ? undefined : file
    },
    async create(record) {
      const name = nameFileDirectory(record.path)
      await removeEntry(model, name)
      await checkRoom(record.path, record.sizeBytes ?? 0)
      const directory = await model.getDirectoryHandle(name, { create: true })
      await writeFile(directory, recordName, JSON.stringify(record))
      return createOpfsFile(directory, record, undefined)
    },
    remove: (path) => removeEntry(model, nameFileDirectory(path)),
    async list() {
      const names: string[] = []
      for await (const [name, { kind }] of model)
        if (kind === 'directory') names.push(decodeURIComponent(name))
      return names
    },
  }
}

function createOpfsFile(
  directory: FileSystemDirectoryHandle,
  record: FileRecord,
  found: { readonly sha256: string | undefined } | undefined,
): StoredFile {
  let completed = found
  const getSegment = async (index: number): Promise<Blob> =>
    (await getFile(directory, String(index))) ?? new Blob()
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
      return createSegmentWriter(handle)
    },
    measureSegment: async (index) => (await getSegment(index)).size,
    // `Blob.stream()` is not used: in Chromium 156, the stream can hang in the middle.
    async *readSegment(index) {
      const handle = await openHandle(directory, String(index))
      const buffer = new Uint8Array(pieceBytes)
      try {
        for (let at = 0, read = 0; (read = handle.read(buffer, { at })) > 0; at += read) {
          yield buffer.subarray(0, read)
        }
      } finally {
        handle.close()
      }
    },
    async read() {
      const segments = Array.from({ length: countSegments(record) }, (_, index) => getSegment(index))
      return new Blob(await Promise.all(segments))
    },
    markUsed: () => touch(directory),
    async complete(sha256) {
      await writeFile(directory, completeName, sha256 ?? '')
      completed = { sha256 }
    },
  }
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
      handle.flush()
      handle.close()
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

/** Updates the modification time of the `used` file, which shows when the file was last read. */
async function touch(directory: FileSystemDirectoryHandle): Promise<void> {
  try {
    const handle = await (await directory.getFileHandle(usedName, { create: true })).createSyncAccessHandle()
    try {
      handle.write(Uint8Array.of(0), { at: 0 })
    } finally {
      handle.close()
    }
  } catch {
    // Another tab is writing the file at the same time, or the disk is full.
  }
}

/** Writes bytes. @returns how many bytes were written, which is fewer than requested if the disk or quota is full */
function writeBytes(handle: FileSystemSyncAccessHandle, bytes: Uint8Array, at: number): number {
  try {
    return handle.write(bytes as Uint8Array<ArrayBuffer>, { at })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'QuotaExceededError') return 0
    throw error
  }
}

const handleAttempts = 40
const handlePauseMs = 50

/** Opens a file for reading and writing. Retries while a worker that was just terminated still has the file open. */
async function openHandle(
  directory: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemSyncAccessHandle> {
  const file = await directory.getFileHandle(name, { create: true })
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await file.createSyncAccessHandle()
    } catch (error) {
      const isBusy = error instanceof DOMException && error.name === 'NoModificationAllowedError'
      if (!isBusy || attempt === handleAttempts) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, handlePauseMs))
  }
}
