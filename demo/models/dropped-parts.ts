import type { LocalPart } from './local-files.js'

/** Not available in every browser, and missing from TypeScript's DOM library. */
interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>
}

/** Returns the dropped files and folders. Requests all items synchronously: they are readable only during the drop event. */
export async function readDrop({ items }: Pick<DataTransfer, 'items'>): Promise<readonly LocalPart[]> {
  const dropped = [...items]
    .filter(({ kind }) => kind === 'file')
    .map((item) => ({
      handle: (item as HandleItem).getAsFileSystemHandle?.().catch(() => null),
      entry: item.webkitGetAsEntry?.(),
      file: item.getAsFile(),
    }))
  const parts = await Promise.all(
    dropped.map(async ({ handle, entry, file }): Promise<readonly LocalPart[]> => {
      const fileHandle = await handle
      if (fileHandle) return [fileHandle]
      if (entry?.isDirectory) return readEntry(entry)
      return file ? [file] : []
    }),
  )
  return parts.flat()
}

/** Reads a dropped folder in browsers without file system handles: Firefox and Safari. */
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
    // `readEntries` returns up to 100 entries per call, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject)
    })
    if (entries.length === 0) return found
    for (const each of entries) found.push(...(await readEntry(each)))
  }
}
