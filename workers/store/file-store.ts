import type { FileRecord } from '../../lib/contract/store-layout.js'

/** Stores the files of one model. */
export interface FileStore {
  /** @returns undefined if nothing of the file is stored */
  open(path: string): Promise<StoredFile | undefined>
  /** Starts a new file and discards what was stored under its path. @throws RivuletError `quota-exceeded` */
  create(record: FileRecord): Promise<StoredFile>
  remove(path: string): Promise<void>
  /** Paths of all files with a stored part or record. */
  list(): Promise<readonly string[]>
}

/** A file that is stored or being downloaded. */
export interface StoredFile {
  readonly record: FileRecord
  /** All bytes are stored. */
  readonly isComplete: boolean
  /** The SHA-256 that was computed from the stored bytes. */
  readonly verifiedSha256: string | undefined
  /** Only one writer per segment at a time. */
  openSegment(index: number): Promise<SegmentWriter>
  /** How many bytes of the segment are stored. */
  measureSegment(index: number): Promise<number>
  /** Reads a complete segment in pieces. Use each before you request the next: they share one buffer. */
  readSegment(index: number): AsyncIterable<Uint8Array>
  /** The whole file, without copying it. */
  read(): Promise<Blob>
  /** Marks the file as complete. */
  complete(sha256: string | undefined): Promise<void>
}

/** Appends bytes to a segment, which is one part of a stored file. */
export interface SegmentWriter {
  /** Bytes that are stored. */
  readonly sizeBytes: number
  /** Copies `bytes`; the caller may reuse the buffer. @throws NoRoomError */
  write(bytes: Uint8Array): void
  /** Discards the stored bytes. */
  clear(): void
  close(): void
}
