import type { FileRecord } from '../../lib/contract/store-layout.js'

/** Where the files of one model are kept. */
export interface FileStore {
  /** @returns undefined where nothing of it is kept */
  open(path: string): Promise<StoredFile | undefined>
  /** Begins a file anew; what was there under its path is dropped. */
  create(record: FileRecord): Promise<StoredFile>
  remove(path: string): Promise<void>
  /** Paths of which something is kept. */
  list(): Promise<readonly string[]>
}

/** A file that is kept, or is coming. */
export interface StoredFile {
  readonly record: FileRecord
  /** All bytes are there. */
  readonly isComplete: boolean
  /** What the bytes were found to have. */
  readonly verifiedSha256: string | undefined
  /** One writer a segment at a time. @throws RivuletError `quota-exceeded` */
  openSegment(index: number): Promise<SegmentWriter>
  /** How many bytes of it are there. */
  measureSegment(index: number): Promise<number>
  /** A whole segment's bytes, in pieces that are each to be used before the next is asked for. */
  readSegment(index: number): AsyncIterable<Uint8Array>
  /** The whole file, without a copy. */
  read(): Promise<Blob>
  complete(sha256: string | undefined): Promise<void>
}

/** Appends to a segment. */
export interface SegmentWriter {
  /** Bytes that are there. */
  readonly sizeBytes: number
  /** Does not keep `bytes`. @throws RivuletError `quota-exceeded` */
  write(bytes: Uint8Array): void
  /** Drops what is there. */
  clear(): void
  close(): void
}
