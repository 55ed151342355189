import { RivuletError } from '../../lib/contract/errors.js'
import type { FileStore } from './file-store.js'
import type { FileFacts } from './request-range.js'

/** A file to download, and what is already known about it. */
export interface DownloadJob {
  /** The URL of the file's folder, without a query. */
  readonly folderUrl: string
  /** Identifies the file's model in the store (`nameModelUrl`). */
  readonly modelUrl: string
  readonly path: string
  /** The address to request, with the query. */
  readonly url: string
  /** True if the file is fetched in one request without a range, which a server may answer compressed. */
  readonly isSmall: boolean
  /** The size and hash from `download.sha256` or a hub's listing. The server's answer adds the facts that are missing. */
  readonly known: Omit<FileFacts, 'validator'>
  readonly objectId: string | undefined
  /** The size of the range that one request asks for, if the server supports range requests. */
  readonly segmentBytes: number
  readonly headers: Readonly<Record<string, string>>
  /** As in `RangeRequest`. */
  readonly cache?: 'no-store' | 'reload' | undefined
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
  onProgress(progress: TransferProgress): void
  /**
   * Returns true if the server sends another file of the folder. A file whose requests get no readable answer then counts as
   * refused: servers that send no CORS headers with an error look like this.
   */
  isServerUp(): Promise<boolean>
}

export interface TransferProgress {
  readonly phase: 'download' | 'verify'
  readonly loadedBytes: number
  readonly totalBytes: number | undefined
  /** The number of bytes that the server sends for the file, if it says so. A compressed file has fewer than `totalBytes`. */
  readonly sentBytes?: number | undefined
}

/** The stores that a download can be written to. */
export interface DownloadStores {
  readonly kept: FileStore
  /** For files of unknown length: they cannot be checked, so they are used for this load only. */
  readonly unkept: FileStore
}

/** Creates the error for a file whose hash is not the expected one. */
export function createIntegrityError(path: string, expected: string, got: string): RivuletError {
  return new RivuletError(
    'integrity-failed',
    `The SHA-256 of ${path} is ${got}, but ${expected} is required. The file was removed. Retry, or correct "download.sha256" or the file on the server.`,
    { details: { file: path, expected, got } },
  )
}
