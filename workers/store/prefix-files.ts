import {
  countSegments,
  getDirectory,
  nameFileLock,
  nameModelDirectory,
  prefixFolderName,
  storeFolderName,
  toHex,
  type FileRecord,
  type PrefixContent,
} from '../../lib/contract/store-layout.js'
import type { FileStore, SegmentWriter, StoredFile } from './file-store.js'
import { openStore } from './open-store.js'
import { createOpfsStore } from './opfs-store.js'
import { readWhole } from './readable-file.js'
import { NoRoomError, checkRoom } from './room.js'
import { createSha256, hashBytes } from './sha256.js'

/** A kept prefix in the store. */
export interface PrefixFile {
  readonly content: PrefixContent
  /** @returns the bytes; undefined if they are not the bytes that were written */
  read(): Promise<ArrayBuffer | undefined>
  remove(): Promise<void>
}

/** A prefix to keep. */
export interface NewPrefix {
  readonly content: PrefixContent
  readonly sizeBytes: number
  /** The bytes, in pieces. */
  read(): AsyncIterable<Uint8Array<ArrayBuffer>>
}

/** The size of a segment, in bytes. Each is flushed to the disk at its end, which blocks this thread. */
const segmentBytes = 16 * 2 ** 20

const budgetLock = 'rivulet prefixes'

/** Lists the prefixes that are kept for the model of a folder. Removes those that are not complete, or were changed. */
export async function listPrefixes(folderUrl: string): Promise<readonly PrefixFile[]> {
  try {
    const directory = await openDirectory(folderUrl)
    if (!directory) return []
    const store = createOpfsStore(directory)
    const found = await Promise.all(
      (await store.list()).map((path) => openPrefix(directory.name, store, path)),
    )
    return found.filter((file) => file !== undefined)
  } catch {
    // Without them, prompts are computed.
    return []
  }
}

async function openDirectory(folderUrl: string): Promise<FileSystemDirectoryHandle | undefined> {
  const prefixes = await getDirectory(await navigator.storage.getDirectory(), prefixFolderName)
  return prefixes && getDirectory(prefixes, await nameModelDirectory(folderUrl))
}

async function openPrefix(
  directory: string,
  store: FileStore,
  path: string,
): Promise<PrefixFile | undefined> {
  const file = await store.open(path)
  const content = file?.record.prefix
  if (file?.isComplete && content && (await namePrefix(content)) === path) {
    // What cannot be removed now is found again, and removed, at the next load.
    return { content, read: () => readChecked(file), remove: () => store.remove(path).catch(() => {}) }
  }
  // Another tab may be writing it: that tab holds the lock.
  await navigator.locks.request(nameFileLock(directory, path), { ifAvailable: true }, async (lock) => {
    if (lock) await store.remove(path)
  })
  return undefined
}

async function readBytes(file: StoredFile): Promise<Uint8Array<ArrayBuffer>> {
  const open = await file.openToRead()
  try {
    return readWhole(open)
  } finally {
    open.close()
  }
}

/** Reads a file, and checks its length and its hash. */
async function readChecked(file: StoredFile): Promise<ArrayBuffer | undefined> {
  try {
    const { buffer: bytes } = await readBytes(file)
    if (bytes.byteLength !== file.record.sizeBytes || (await hashBytes(bytes)) !== file.verifiedSha256)
      return undefined
    await file.markUsed()
    return bytes
  } catch {
    return undefined
  }
}

/**
 * Keeps a prefix. Removes the least recently used prefixes of this site, of any model, so that all take at most `budgetBytes`.
 * Never removes files of models.
 * @returns why the prefix is not kept; undefined if it is
 * @throws the reason of `signal`, which is checked before each piece; an error of `read`
 */
export async function writePrefix(
  { folderUrl, modelUrl }: Pick<FileRecord, 'folderUrl' | 'modelUrl'>,
  prefix: NewPrefix,
  budgetBytes: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { content, sizeBytes } = prefix
  if (sizeBytes > budgetBytes) {
    return `It takes ${sizeBytes} bytes, but onnx({ keptPrefixBytes }) allows ${budgetBytes}.`
  }
  const { store, directory, close } = await openStore(folderUrl, prefixFolderName)
  try {
    if (!store.isPersistent) return 'This page has no private file system that works.'
    if (!(await isModelStored(directory)))
      return 'The model is not in the store: it is local, or was removed.'
    const path = await namePrefix(content)
    const write = async () => {
      const known = await store.open(path)
      if (known?.isComplete) return known.markUsed()
      await makeRoom(sizeBytes, budgetBytes)
      await checkRoom(path, sizeBytes)
      const unused = { isMissing: false, validator: undefined, objectId: undefined, sha256: undefined }
      const record = { folderUrl, modelUrl, path, sizeBytes, segmentBytes, prefix: content, ...unused }
      try {
        await writePieces(await store.create(record), prefix, signal)
      } catch (error) {
        await store.remove(path)
        throw error
      }
    }
    await navigator.locks.request(nameFileLock(directory, path), { signal }, () =>
      // One at a time on this site: the budget is shared.
      navigator.locks.request(budgetLock, { signal }, write),
    )
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof NoRoomError || (error as { readonly code?: unknown }).code === 'quota-exceeded')
      return 'The disk or the quota of this site is full.'
    throw error
  } finally {
    close()
  }
}

async function writePieces(file: StoredFile, { read }: NewPrefix, signal: AbortSignal): Promise<void> {
  const hash = await createSha256()
  const segments = Array.from({ length: countSegments(file.record) }, (_, index) => index)
  let writer: SegmentWriter | undefined
  const closeSegment = () => {
    const closed = writer
    writer = undefined
    closed?.close()
  }
  try {
    for await (const piece of read()) {
      hash.add(piece)
      for (let rest = piece; rest.byteLength > 0;) {
        writer ??= await file.openSegment(segments.shift()!)
        const part = rest.subarray(0, segmentBytes - writer.sizeBytes)
        writer.write(part)
        rest = rest.subarray(part.byteLength)
        if (writer.sizeBytes === segmentBytes) closeSegment()
      }
      // Lets the worker handle its messages, such as a cancel.
      await new Promise((resolve) => setTimeout(resolve))
      signal.throwIfAborted()
    }
  } finally {
    closeSegment()
  }
  await file.markUsed()
  await file.complete(hash.finish())
}

/** Returns true if a file of the model's folder is stored. */
async function isModelStored(directory: string): Promise<boolean> {
  const models = await getDirectory(await navigator.storage.getDirectory(), storeFolderName)
  return models !== undefined && (await getDirectory(models, directory)) !== undefined
}

/** Removes the least recently used prefixes until there is room for one of `sizeBytes` within the budget. */
async function makeRoom(sizeBytes: number, budgetBytes: number): Promise<void> {
  const prefixes = await getDirectory(await navigator.storage.getDirectory(), prefixFolderName)
  const found: { readonly store: FileStore; readonly file: StoredFile; readonly usedMs: number }[] = []
  for await (const entry of prefixes?.values() ?? []) {
    if (entry.kind !== 'directory') continue
    const store = createOpfsStore(entry as FileSystemDirectoryHandle)
    for (const path of await store.list()) {
      const file = await store.open(path)
      if (file?.isComplete) found.push({ store, file, usedMs: await file.readUsedMs() })
    }
  }
  const measure = ({ file }: (typeof found)[number]) => file.record.sizeBytes ?? 0
  let total = found.reduce((sum, each) => sum + measure(each), sizeBytes)
  for (const oldest of found.toSorted((one, other) => one.usedMs - other.usedMs)) {
    if (total <= budgetBytes) return
    await oldest.store.remove(oldest.file.record.path)
    total -= measure(oldest)
  }
}

/** Names the file of a prefix: a hash of what it is for. */
async function namePrefix({ binding, files, ids }: PrefixContent): Promise<string> {
  const text = JSON.stringify([binding, Object.entries(files), ids])
  return toHex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).slice(0, 32)
}
