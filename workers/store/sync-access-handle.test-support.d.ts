// Tests are compiled with the page's types, which lack these worker-only interfaces.
interface FileSystemSyncAccessHandle {
  close(): void
  flush(): void
  getSize(): number
  read(buffer: Uint8Array, options?: { at?: number }): number
  truncate(newSize: number): void
  write(buffer: Uint8Array, options?: { at?: number }): number
}

declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer
}

interface FileSystemFileHandle {
  createSyncAccessHandle(options?: { mode?: string }): Promise<FileSystemSyncAccessHandle>
}
