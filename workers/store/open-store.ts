import { nameModelDirectory, nameModelLock, storeFolderName } from '../../lib/contract/store-layout.js'
import type { FileStore } from './file-store.js'
import { createMemoryStore } from './memory-store.js'
import { createOpfsStore } from './opfs-store.js'
import { sweepOrphans } from './sweep.js'

/** The store of one folder's files, opened for loading. */
interface OpenStore {
  readonly store: FileStore
  readonly directory: string
  close(): void
}

/** Opens a folder's store, in memory if there is no private file system: on insecure pages and in some private windows. */
export async function openStore(folderUrl: string, storeFolder = storeFolderName): Promise<OpenStore> {
  let release = () => {}
  try {
    const root = await navigator.storage.getDirectory()
    const directory = await nameModelDirectory(folderUrl)
    release = await holdShared(nameModelLock(directory))
    const models = await root.getDirectoryHandle(storeFolder, { create: true })
    const model = await models.getDirectoryHandle(directory, { create: true })
    // Not awaited: the next sweep removes the entries that this sweep does not reach.
    sweepOrphans(models).catch(() => {})
    return { store: createOpfsStore(model), directory, close: release }
  } catch {
    release()
    return { store: createMemoryStore(), directory: folderUrl, close() {} }
  }
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
