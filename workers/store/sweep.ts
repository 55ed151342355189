import { getFile, nameFileLock, recordName, removeEntry } from '../../lib/contract/store-layout.js'

/**
 * Removes bytes without a record, in any model: an interrupted removal leaves them behind. A file that another tab is just
 * starting to download has no record either, but its lock is held.
 */
export async function sweepOrphans(models: FileSystemDirectoryHandle): Promise<void> {
  for await (const model of models.values()) {
    if (model.kind !== 'directory') continue
    for await (const file of (model as FileSystemDirectoryHandle).values()) {
      if (file.kind !== 'directory') continue
      await sweep(model as FileSystemDirectoryHandle, file as FileSystemDirectoryHandle)
    }
  }
}

async function sweep(model: FileSystemDirectoryHandle, file: FileSystemDirectoryHandle): Promise<void> {
  if (await getFile(file, recordName)) return
  const lock = nameFileLock(model.name, decodeURIComponent(file.name))
  await navigator.locks.request(lock, { ifAvailable: true }, async (held) => {
    if (held && !(await getFile(file, recordName))) await removeEntry(model, file.name)
  })
}
