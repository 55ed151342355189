import {
  nameModelDirectory,
  nameModelLock,
  storeFolderName,
  usedName,
} from '../../lib/contract/store-layout.js'
import type { FileStore } from './file-store.js'
import { createMemoryStore } from './memory-store.js'
import { createOpfsStore } from './opfs-store.js'
import { sweepOrphans } from './sweep.js'

/** The store of one model, opened for loading. */
interface OpenStore {
  readonly store: FileStore
  readonly directory: string
  close(): void
}

/** Opens a model's store, in memory if there is no private file system: on insecure pages and in some private windows. */
export async function openStore(folderUrl: string): Promise<OpenStore> {
  let release = () => {}
  try {
    const root = await navigator.storage.getDirectory()
    const directory = await nameModelDirectory(folderUrl)
    release = await holdShared(nameModelLock(directory))
    const models = await root.getDirectoryHandle(storeFolderName, { create: true })
    const model = await models.getDirectoryHandle(directory, { create: true })
    await touch(model)
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

/** Updates the modification time of the `used` file, which shows when the model was last opened. */
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
    // Another tab is writing the file at the same time, or the disk is full.
  }
}
