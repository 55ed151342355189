// Tests are compiled with the page's types, which lack these worker-only methods.
interface FileSystemSyncAccessHandle {
  close(): void
  flush(): void
  getSize(): number
  read(buffer: Uint8Array, options?: { at?: number }): number
  truncate(newSize: number): void
  write(buffer: Uint8Array, options?: { at?: number }): number
}

interface FileSystemFileHandle {
  createSyncAccessHandle(options?: { mode?: string }): Promise<FileSystemSyncAccessHandle>
}
