import type { DownloadRequest } from '../../lib/contract/download-options.js'
import type { RemoteLocation } from '../../lib/contract/model-source.js'
import {
  countSegments,
  nameFileLock,
  nameModelDirectory,
  nameModelLock,
  storeFolderName,
  usedName,
  type FileRecord,
} from '../../lib/contract/store-layout.js'
import type { CollectProgress } from './collect-progress.js'
import { downloadFile } from './download-file.js'
import type { FileStore, StoredFile } from './file-store.js'
import { fetchHubListing, type HubListing } from './hub-listing.js'
import { createMemoryStore } from './memory-store.js'
import type { ModelFiles } from './model-folder.js'
import { createOpfsStore } from './opfs-store.js'
import { readFacts } from './request-range.js'
import { hashSegments } from './sha256.js'
import { hearProgress, tellProgress } from './share-progress.js'
import { sweepOrphans } from './sweep.js'

/** A server that takes longer to say whether a file has changed is not waited for. */
const revalidationTimeoutMs = 3000

/** Small enough that a file of a hundred megabytes comes over several connections. */
const segmentBytes = 16 * 2 ** 20

/** Files behind URLs, kept in this browser: one tab fetches a file for all that want it. */
export async function openRemoteFiles(
  location: RemoteLocation,
  { headers, sha256: pinned, revalidate, idleTimeoutMs }: DownloadRequest,
  { onProgress, signal }: { onProgress: CollectProgress; signal: AbortSignal },
): Promise<ModelFiles> {
  const { store: kept, directory, close } = await openStore(location.url)
  const unkept = createMemoryStore()
  const mayHaveChanged = revalidate && !(location.kind === 'hub' && location.isCommit)
  /** Asked once, and not where everything is stored and may stay as it is. */
  let listing: Promise<HubListing | undefined> | undefined
  const list = () => {
    if (location.kind !== 'hub') return undefined
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(idleTimeoutMs)])
    return (listing ??= fetchHubListing(location.listingUrl, headers, timeout))
  }
  /** Files that were found missing, or known to be, each with what is being written of that. */
  const missing = new Map<string, Promise<void>>()
  /** What is read beside may find out later what is to be forgotten. */
  let isForgetting = false

  // A model's own file names reach this: they are no names of an object's methods.
  const readPin = (path: string) => (Object.hasOwn(pinned, path) ? pinned[path] : undefined)

  async function read(path: string): Promise<Blob | undefined> {
    const stored = await kept.open(path)
    if (stored && (await isGood(stored))) return readStored(path, stored)
    const lock = nameFileLock(directory, path)
    return withLock(path, lock, async (hasWaited) => {
      // Whoever held the lock before may have fetched it.
      const fetched = hasWaited ? await kept.open(path) : undefined
      return fetched && (await isGood(fetched)) ? readStored(path, fetched) : fetchFile(path, lock)
    })
  }

  function readStored(path: string, file: StoredFile): Promise<Blob> | undefined {
    const { isMissing, sizeBytes = 0 } = file.record
    if (isMissing) missing.set(path, Promise.resolve())
    if (isMissing) return undefined
    onProgress.stored(path, sizeBytes)
    return file.read()
  }

  async function isGood(file: StoredFile): Promise<boolean> {
    if (!file.isComplete) return false
    const { record } = file
    const pin = readPin(record.path)
    if (pin !== undefined && !record.isMissing && !(await hasHash(file, pin))) return false
    return !mayHaveChanged || (await isCurrent(record))
  }

  async function isCurrent(record: FileRecord): Promise<boolean> {
    if (location.kind === 'folder') return isUnchanged(record)
    const listed = await Promise.race([list(), wait(revalidationTimeoutMs)])
    // A hub that does not answer is as good as none.
    return !listed || listed.get(record.path)?.objectId === record.objectId
  }

  /** True where nobody answers: what is stored is better than nothing. */
  async function isUnchanged({
    folderUrl,
    path,
    isMissing,
    validator,
    sizeBytes,
  }: FileRecord): Promise<boolean> {
    try {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(revalidationTimeoutMs)])
      // The range keeps servers from naming the tag of a compressed file, as it did when the file was fetched.
      const sent = { ...headers, range: 'bytes=0-' }
      const request = { method: 'HEAD', headers: sent, signal: timeout, cache: 'no-store' } as const
      const response = await fetch(new URL(path, folderUrl), request)
      const isPage = response.headers.get('content-type')?.startsWith('text/html')
      // Gone, forbidden, or behind a network's login page: no reason to give up what is here.
      if (!response.ok || isPage) return true
      if (isMissing) return false
      const facts = readFacts(response)
      if (facts.validator !== undefined && validator !== undefined) return facts.validator === validator
      return (facts.sizeBytes ?? sizeBytes) === sizeBytes
    } catch {
      signal.throwIfAborted()
      return true
    }
  }

  async function fetchFile(path: string, lock: string): Promise<Blob | undefined> {
    const listed = await list()
    const known = listed?.get(path)
    const describe = {
      folderUrl: location.url,
      path,
      segmentBytes: 1,
      validator: undefined,
      objectId: undefined,
    }
    const others = tellProgress(lock)
    try {
      const file =
        listed && !known
          ? undefined
          : await downloadFile(
              {
                folderUrl: location.url,
                path,
                known: { sizeBytes: known?.sizeBytes, sha256: readPin(path) ?? known?.sha256 },
                objectId: known?.objectId,
                segmentBytes,
                headers,
                idleTimeoutMs,
                signal,
                onProgress(progress) {
                  onProgress.moved(path, progress)
                  others.tell(progress)
                },
              },
              { kept, unkept },
            )
      if (file) return await file.read()
      const nothing = { ...describe, isMissing: true, sizeBytes: undefined, sha256: undefined }
      if (!isForgetting) {
        const writing = kept.create(nothing).then((begun) => begun.complete(undefined))
        missing.set(path, writing)
        await writing
      }
      return undefined
    } finally {
      others.end()
    }
  }

  /** Runs when no other tab fetches the same file; shows the other's progress until then. */
  async function withLock<T>(
    path: string,
    lock: string,
    run: (hasWaited: boolean) => Promise<T>,
  ): Promise<T> {
    if (!('locks' in navigator)) return run(false)
    const first = await navigator.locks.request(lock, { ifAvailable: true }, async (held) =>
      held ? { value: await run(false) } : undefined,
    )
    if (first) return first.value
    const stop = hearProgress(lock, (progress) => onProgress.moved(path, progress))
    try {
      return await navigator.locks.request(lock, { signal }, () => run(true))
    } finally {
      stop()
    }
  }

  return {
    read,
    close,
    list: async () => [...((await list())?.keys() ?? (await kept.list()))],
    async forgetMissing() {
      isForgetting = true
      await Promise.allSettled(missing.values())
      await Promise.all([...missing.keys()].map(kept.remove))
    },
  }
}

async function hasHash(file: StoredFile, sha256: string): Promise<boolean> {
  if (file.verifiedSha256 === undefined) {
    const segments = Array.from({ length: countSegments(file.record) }, () => Promise.resolve())
    await file.complete(await hashSegments(file, segments))
  }
  return file.verifiedSha256 === sha256
}

interface OpenStore {
  readonly store: FileStore
  readonly directory: string
  close(): void
}

/** In memory where the page is not secure or the window is private: there is no file system then. */
async function openStore(folderUrl: string): Promise<OpenStore> {
  let release = () => {}
  try {
    const root = await navigator.storage.getDirectory()
    const directory = await nameModelDirectory(folderUrl)
    release = await holdShared(nameModelLock(directory))
    const models = await root.getDirectoryHandle(storeFolderName, { create: true })
    const model = await models.getDirectoryHandle(directory, { create: true })
    await touch(model)
    // Nobody waits for it; what it does not come to, it will next time.
    sweepOrphans(models).catch(() => {})
    return { store: createOpfsStore(model), directory, close: release }
  } catch {
    release()
    return { store: createMemoryStore(), directory: folderUrl, close() {} }
  }
}

/** Holds a lock until the returned function is called. */
function holdShared(name: string): Promise<() => void> {
  return new Promise((resolve) => {
    void navigator.locks.request(
      name,
      { mode: 'shared' },
      () => new Promise<void>((release) => resolve(release)),
    )
  })
}

/** Its time says when the model was opened last. */
async function touch(model: FileSystemDirectoryHandle): Promise<void> {
  const file = await model.getFileHandle(usedName, { create: true })
  try {
    const handle = await file.createSyncAccessHandle()
    try {
      handle.write(Uint8Array.of(0), { at: 0 })
    } finally {
      handle.close()
    }
  } catch {
    // Another tab does the same at the same time, or the disk is full.
  }
}

function wait(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms))
}
