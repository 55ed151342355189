import { getFile, nameFileLock, recordName, removeEntry } from '../../lib/contract/store-layout.js'

/**
 * Removes files that have no record, in all models: an interrupted removal leaves such files behind. A file that another
 * tab is just starting to download has no record either, but that tab holds the file's lock, so the file is not removed.
 */
export async function sweepOrphans(models: FileSystemDirectoryHandle): Promise<void> {
  for await (const model of models.values()) {
    if (model.kind !== 'directory') continue
    for await (const file of (model as FileSystemDirectoryHandle).values()) {
      if (file.kind !== 'directory') continue
      // What cannot be removed now, such as a file that an ended worker still has open, is left to the next sweep.
      await sweep(model as FileSystemDirectoryHandle, file as FileSystemDirectoryHandle).catch(() => {})
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
