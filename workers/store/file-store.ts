import type { FileRecord } from '../../lib/contract/store-layout.js'
import type { ReadableFile } from './readable-file.js'

/** Stores the files of one model. */
export interface FileStore {
  /** False if the files are lost when the worker ends. */
  readonly isPersistent: boolean
  /** @returns the file, or undefined if nothing of the file is stored */
  open(path: string): Promise<StoredFile | undefined>
  /** Creates an empty file and discards what was stored under its path. @throws RivuletError `quota-exceeded` */
  create(record: FileRecord): Promise<StoredFile>
  remove(path: string): Promise<void>
  /** Returns the paths of all files that have stored bytes or a record. */
  list(): Promise<readonly string[]>
}

/** A file that is stored or being downloaded. */
export interface StoredFile {
  readonly record: FileRecord
  /** True if the file is marked as complete: all its bytes are stored. */
  readonly isComplete: boolean
  /** The SHA-256 that was computed from the stored bytes; undefined if none was computed. */
  readonly verifiedSha256: string | undefined
  /** Opens a segment to append bytes. Only one writer per segment may be open at a time. */
  openSegment(index: number): Promise<SegmentWriter>
  /** Returns how many bytes of the segment are stored. */
  measureSegment(index: number): Promise<number>
  /** Reads a complete segment in pieces. Use each piece before you request the next one: all pieces share one buffer. */
  readSegment(index: number): AsyncIterable<Uint8Array>
  /** Returns the whole file without copying it. */
  read(): Promise<Blob>
  /**
   * Opens the file for reading. All its bytes are of one version: a read fails if the file has changed since.
   * @throws DOMException if the file cannot be read
   */
  openToRead(): Promise<ReadableFile>
  /** Records that the file was used now. */
  markUsed(): Promise<void>
  /** Returns when the file was last used, in milliseconds since 1970; 0 if it never was. */
  readUsedMs(): Promise<number>
  /** False if the browser's HTTP cache did not have the file when it was asked: nothing puts it there again. */
  mayBeInHttpCache(): Promise<boolean>
  /** Records that the browser's HTTP cache does not have the file. */
  noteHttpCacheMiss(): Promise<void>
  /** Marks the file as complete. */
  complete(sha256: string | undefined): Promise<void>
}

/** Appends bytes to a segment, which is one part of a stored file. */
export interface SegmentWriter {
  /** How many bytes of the segment are stored. */
  readonly sizeBytes: number
  /** Copies `bytes`; the caller may reuse the buffer. @throws NoRoomError */
  write(bytes: Uint8Array): void
  /** Discards the stored bytes. */
  clear(): void
  close(): void
}
