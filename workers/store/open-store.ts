import {
  nameFileDirectory,
  nameFileLock,
  nameModelDirectory,
  nameModelLock,
  removeEntry,
  storeFolderName,
} from '../../lib/contract/store-layout.js'
import { whenFree } from '../../lib/contract/when-free.js'
import type { FileStore } from './file-store.js'
import { createMemoryStore } from './memory-store.js'
import { createOpfsStore, isFull, tryHandle } from './opfs-store.js'
import { sweepOrphans } from './sweep.js'

/** The store of one folder's files, opened for loading. */
export interface OpenStore {
  readonly store: FileStore
  readonly directory: string
  close(): void
}

/**
 * Opens a folder's store. The store is in memory if there is no private file system that works: on insecure pages, and in
 * private windows of some browsers.
 */
export async function openStore(folderUrl: string, storeFolder = storeFolderName): Promise<OpenStore> {
  let release = () => {}
  try {
    const root = await navigator.storage.getDirectory()
    const directory = await nameModelDirectory(folderUrl)
    release = await holdShared(nameModelLock(directory))
    const models = await root.getDirectoryHandle(storeFolder, { create: true })
    const model = await models.getDirectoryHandle(directory, { create: true })
    // Files that an earlier load has stored show that files work; but a page, unlike a worker, cannot write them.
    const isPage = 'document' in globalThis
    if (isPage || !(await hasFiles(model))) await tryStore(model)
    // Not awaited: the next sweep removes the entries that this sweep does not reach.
    sweepOrphans(models).catch(() => {})
    return { store: createOpfsStore(model), directory, close: release }
  } catch {
    release()
    return { store: createMemoryStore(), directory: folderUrl, close() {} }
  }
}

const trialPrefix = 'trial '

async function hasFiles(model: FileSystemDirectoryHandle): Promise<boolean> {
  for await (const [name] of model) if (!name.startsWith(nameFileDirectory(trialPrefix))) return true
  return false
}

/**
 * Tries a file of its own in the directory of a model. A full disk passes: what is stored can still be read.
 * @throws the browser's error if files cannot be stored
 */
async function tryStore(model: FileSystemDirectoryHandle): Promise<void> {
  const path = `${trialPrefix}${crypto.getRandomValues(new Uint32Array(2)).join('-')}`
  const name = nameFileDirectory(path)
  // The lock keeps the sweep of another load away. If this load is cut off here, a later sweep removes what is left.
  await navigator.locks.request(nameFileLock(model.name, path), async () => {
    try {
      await tryHandle(await model.getDirectoryHandle(name, { create: true }))
    } catch (error) {
      if (!isFull(error)) throw error
    } finally {
      await whenFree(path, () => removeEntry(model, name))
    }
  })
}

/** Holds a shared lock until the returned function is called. */
function holdShared(name: string): Promise<() => void> {
  return new Promise((resolve) => {
    void navigator.locks.request(
      name,
      { mode: 'shared' },
      () => new Promise<void>((release) => resolve(release)),
    )
  })
}
