// Tests are compiled with a page's types, which lack what only workers have.
interface FileSystemSyncAccessHandle {
  close(): void
  flush(): void
  getSize(): number
  read(buffer: Uint8Array, options?: { at?: number }): number
  truncate(newSize: number): void
  write(buffer: Uint8Array, options?: { at?: number }): number
}

interface FileSystemFileHandle {
  createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>
}
