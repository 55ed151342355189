import type { OwnPart } from './own-files.js'

/** Not in every browser, nor in TypeScript's library. */
interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>
}

/** What was dropped. Asks for everything at once: a drop can be read no longer than its event lasts. */
export async function readDrop({ items }: Pick<DataTransfer, 'items'>): Promise<readonly OwnPart[]> {
  const dropped = [...items]
    .filter(({ kind }) => kind === 'file')
    .map((item) => ({
      handle: (item as HandleItem).getAsFileSystemHandle?.().catch(() => null),
      entry: item.webkitGetAsEntry?.(),
      file: item.getAsFile(),
    }))
  const parts = await Promise.all(
    dropped.map(async ({ handle, entry, file }): Promise<readonly OwnPart[]> => {
      const given = await handle
      if (given) return [given]
      if (entry?.isDirectory) return readEntry(entry)
      return file ? [file] : []
    }),
  )
  return parts.flat()
}

/** Folders where the browser gives no handles: Firefox and Safari. */
async function readEntry(entry: FileSystemEntry): Promise<readonly File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      ;(entry as FileSystemFileEntry).file(resolve, reject)
    })
    return [file]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const found: File[] = []
  for (;;) {
    // A hundred at a time, until there are no more.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject)
    })
    if (entries.length === 0) return found
    for (const each of entries) found.push(...(await readEntry(each)))
  }
}
